// One answer of one model: its tokens as they come, and the experts of the token that is looked at.

import { HeatMap, shown } from "./heatmap.js";

export class Answer {
  /** `model` is an entry of the server's list. */
  constructor(model, scale) {
    this.model = model;
    this.scale = scale;
    this.text = "";
    this.tokens = [];
    this.thresholds = [Infinity, -Infinity];
    this.started = performance.now();
    this.routes = Boolean(model.adamole?.linears?.length);
    this.element = element("article", "answer");
    this.element.setAttribute("aria-label", `Answer of ${model.id}`);
    this.body = element("div", "tokens");
    this.state = element("p", "state", "\u2026");
    this.element.append(element("h3", "", model.id), this.body, this.state);
    if (this.routes) this.withTokens();
  }

  withTokens() {
    this.body.setAttribute("role", "listbox");
    this.body.setAttribute("aria-orientation", "horizontal");
    this.body.setAttribute("aria-label", `Tokens of the answer of ${this.model.id}`);
    const look = (event) => {
      const token = event.target.closest?.(".token");
      if (token) this.look(Number(token.dataset.place), event.type !== "pointerover");
    };
    for (const type of ["pointerover", "click", "focusin"]) this.body.addEventListener(type, look);
    this.body.addEventListener("keydown", (event) => this.move(event));
  }

  /** Adds what a chunk brings. */
  add(chunk) {
    const choice = chunk.choices?.[0];
    if (chunk.usage) this.usage = chunk.usage;
    if (!choice) return;
    this.first ??= performance.now();
    this.ended = choice.finish_reason ?? this.ended;
    const text = choice.delta?.content ?? "";
    this.text += text;
    if (this.routes) for (const token of choice.routing ?? []) this.addToken(token);
    else this.body.append(text);
  }

  addToken(token) {
    const { experts } = this.model.adamole;
    const place = this.tokens.length;
    const mean = token.active.reduce((sum, count) => sum + count, 0) / Math.max(token.active.length, 1);
    const thresholds = token.thresholds ?? [];
    this.thresholds = [Math.min(this.thresholds[0], ...thresholds), Math.max(this.thresholds[1], ...thresholds)];
    this.tokens.push({ ...token, place: place + 1 });
    const span = element("span", "token", token.text);
    if (token.text === "") span.classList.add("part");
    if (/^\n+$/.test(token.text)) span.classList.add("line-end");
    span.setAttribute("role", "option");
    span.setAttribute("aria-label", `${shown(token.text)}, ${mean.toFixed(1)} of ${experts} experts`);
    span.setAttribute("aria-selected", "false");
    span.dataset.place = String(place);
    span.dataset.mean = mean.toFixed(3);
    span.tabIndex = place === 0 ? 0 : -1;
    this.scale.add(span, mean, experts);
    this.body.append(span);
  }

  /** The token whose experts are shown; only that one is reached with Tab if `reached`. */
  look(place, reached) {
    if (!this.map) {
      this.map = new HeatMap(this.model.adamole, Boolean(this.tokens[place].thresholds));
      this.element.append(this.map.element);
    }
    const spans = this.body.children;
    for (const other of this.body.querySelectorAll('[aria-selected="true"]')) other.setAttribute("aria-selected", "false");
    spans[place].setAttribute("aria-selected", "true");
    if (reached) {
      for (const other of this.body.querySelectorAll('[tabindex="0"]')) other.tabIndex = -1;
      spans[place].tabIndex = 0;
    }
    this.map.show(this.tokens[place], this.thresholds);
  }

  move(event) {
    const from = Number(event.target.dataset?.place);
    const last = this.tokens.length - 1;
    if (Number.isNaN(from) || event.altKey || event.ctrlKey || event.metaKey) return;
    const to = {
      ArrowRight: () => Math.min(from + 1, last),
      ArrowLeft: () => Math.max(from - 1, 0),
      ArrowDown: () => this.inOtherLine(from, 1),
      ArrowUp: () => this.inOtherLine(from, -1),
      Home: () => 0,
      End: () => last,
    }[event.key]?.();
    if (to === undefined) return;
    event.preventDefault();
    this.body.children[to].focus();
  }

  /** The token above or below. */
  inOtherLine(from, step) {
    const spans = this.body.children;
    const box = (place) => spans[place].getBoundingClientRect();
    const { left, top } = box(from);
    let best = from;
    for (let place = from + step; spans[place]; place += step) {
      if (Math.abs(box(place).top - top) < 4) continue;
      if (best === from) best = place;
      if (Math.abs(box(place).top - box(best).top) >= 4) break;
      if (Math.abs(box(place).left - left) < Math.abs(box(best).left - left)) best = place;
    }
    return best;
  }

  /** The end of the answer: why, how many tokens, how fast. */
  finish() {
    const seconds = (performance.now() - this.started) / 1000;
    const first = ((this.first ?? performance.now()) - this.started) / 1000;
    const parts = [];
    const count = this.usage?.completion_tokens ?? (this.routes ? this.tokens.length : undefined);
    if (count !== undefined) {
      parts.push(`${count} tokens in ${seconds.toFixed(1)} s, the first after ${first.toFixed(2)} s`);
    }
    if (this.usage) parts.push(`${this.usage.total_tokens} of ${this.model.max_model_len} in the context`);
    const why = { length: "the largest number of tokens is reached", stopped: "stopped" }[this.ended];
    if (why) parts.push(why);
    this.state.textContent = parts.join("; ");
  }

  /** The end by an error, with a button that asks again. */
  fail(message, again) {
    this.state.className = "state failed";
    this.state.setAttribute("role", "alert");
    this.state.textContent = message;
    const button = element("button", "", "Try again");
    button.type = "button";
    button.addEventListener("click", again);
    this.state.append(" ", button);
  }
}

/** An element with text; never markup. */
export function element(name, classes, text = "") {
  const made = document.createElement(name);
  if (classes) made.className = classes;
  made.textContent = text;
  return made;
}
