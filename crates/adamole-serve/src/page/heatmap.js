// The experts of one token, by layer and projection.

import { paint } from "./colours.js";

/** Pixels that a cell needs for each character, and those of the first column. */
const CHARACTER_WIDTH = 7;
const HEAD_WIDTH = 84;

/** The layers and projections of the routed linears, and the place of each linear. */
export function gridOf(linears) {
  const parts = linears.map((name) => [Number(/\.(\d+)\./.exec(name)?.[1] ?? 0), name.split(".").at(-1)]);
  const layers = [...new Set(parts.map(([layer]) => layer))].sort((a, b) => a - b);
  const projections = [...new Set(parts.map(([, projection]) => projection))];
  return { layers, projections, places: parts.map(([layer, name]) => [layers.indexOf(layer), projections.indexOf(name)]) };
}

/** A table of projections by layers, with a switch between numbers of experts and thresholds where there are thresholds. */
export class HeatMap {
  constructor({ experts, linears }, thresholds) {
    this.experts = experts;
    this.grid = gridOf(linears);
    this.shows = "active";
    this.element = document.createElement("section");
    this.element.className = "routing";
    this.element.setAttribute("aria-label", "Experts of a token");
    this.heading = document.createElement("p");
    this.element.append(this.heading);
    if (thresholds) this.element.append(this.switch());
    this.table = document.createElement("div");
    this.table.className = "heat-map";
    this.table.setAttribute("role", "table");
    this.cells = this.rows();
    this.element.append(this.table);
    new ResizeObserver(() => this.turn()).observe(this.element);
  }

  switch() {
    const group = document.createElement("div");
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", "What the cells show");
    for (const [shows, name] of [["active", "Active experts"], ["thresholds", "Thresholds"]]) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.setAttribute("aria-pressed", String(shows === this.shows));
      button.addEventListener("click", () => {
        this.shows = shows;
        for (const other of group.children) other.setAttribute("aria-pressed", String(other === button));
        this.draw();
      });
      group.append(button);
    }
    return group;
  }

  /** The cells by projection and layer. A place without a linear stays empty. */
  rows() {
    const { layers, projections, places } = this.grid;
    const row = (head, names, role) => {
      const line = document.createElement("div");
      line.setAttribute("role", "row");
      const cells = [head, ...names].map((text, place) => {
        const cell = document.createElement("span");
        cell.setAttribute("role", place === 0 ? "rowheader" : role);
        cell.className = place === 0 || role === "columnheader" ? "head" : "";
        cell.textContent = text;
        return cell;
      });
      line.append(...cells);
      this.table.append(line);
      return cells;
    };
    const lines = [row("layer", layers.map(String), "columnheader")];
    for (const name of projections) lines.push(row(name, layers.map(() => ""), "cell"));
    lines.forEach((cells, i) => cells.forEach((cell, j) => {
      cell.style.setProperty("--across", j + 1);
      cell.style.setProperty("--down", i + 1);
    }));
    return places.map(([layer, projection]) => lines[projection + 1][layer + 1]);
  }

  /** Shows a token; `thresholds` are the smallest and the largest threshold of the answer. */
  show(token, thresholds) {
    this.token = token;
    this.ends = thresholds;
    this.draw();
  }

  draw() {
    if (!this.token) return;
    const { token, experts, grid, ends: [low, high] } = this;
    const thresholds = token.thresholds ?? null;
    const shows = thresholds ? this.shows : "active";
    const mean = (values) => values.reduce((sum, value) => sum + value, 0) / Math.max(values.length, 1);
    const threshold = thresholds ? `, threshold ${mean(thresholds).toFixed(3)}` : "";
    this.heading.textContent =
      `Token ${token.place}, ${shown(token.text)}: ${mean(token.active).toFixed(2)} of ${experts} experts active${threshold}, ` +
      `the mean of ${token.active.length} linears`;
    this.table.setAttribute("aria-label", shows === "active" ? "Active experts by projection and layer"
      : "Thresholds by projection and layer");
    this.cells.forEach((cell, i) => {
      const [layer, projection] = grid.places[i];
      const active = token.active[i];
      cell.textContent = shows === "active" ? String(active) : thresholds[i].toFixed(3).replace(/^0/, "");
      cell.title = `layer ${grid.layers[layer]}, ${grid.projections[projection]}: ${active} of ${experts} experts` +
        (thresholds ? `, threshold ${thresholds[i].toFixed(4)}` : "");
      paint(cell, shows === "active" ? active / experts : (thresholds[i] - low) / (high - low || 1));
    });
    this.turn();
  }

  /** Layers go across where there is room for them, else down. */
  turn() {
    const longest = Math.max(2, ...this.cells.map((cell) => cell.textContent.length));
    const across = HEAD_WIDTH + this.grid.layers.length * longest * CHARACTER_WIDTH <= this.element.clientWidth;
    this.table.classList.toggle("down", !across);
  }
}

/** A token's text with its spaces and line ends visible. */
export function shown(text) {
  return text === "" ? "part of a character" : `\u201c${text.replaceAll("\n", "\u23ce").replaceAll("\t", "\u21e5")}\u201d`;
}
