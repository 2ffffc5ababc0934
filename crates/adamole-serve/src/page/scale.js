// What the colours of tokens mean: one scale for all answers on the page, so that models can be compared.

import { paint } from "./colours.js";

const SWATCHES = 5;

export class Scale {
  constructor(legend) {
    this.legend = legend;
    this.whole = false;
    this.reset();
  }

  reset() {
    this.tokens = [];
    this.fewest = Infinity;
    this.most = -Infinity;
    this.experts = 0;
    this.legend.hidden = true;
  }

  /** Whether colours go from 0 to all experts, in place of the fewest to the most that were active. */
  setWhole(whole) {
    this.whole = whole;
    this.repaint();
  }

  /** Colours a token with this mean number of active experts, and all others where the scale becomes longer. */
  add(element, mean, experts) {
    this.tokens.push([element, mean]);
    if (mean >= this.fewest && mean <= this.most && experts <= this.experts) {
      paint(element, this.share(mean));
      return;
    }
    this.fewest = Math.min(this.fewest, mean);
    this.most = Math.max(this.most, mean);
    this.experts = Math.max(this.experts, experts);
    this.repaint();
  }

  get ends() {
    return this.whole ? [0, this.experts] : [this.fewest, this.most];
  }

  share(mean) {
    const [low, high] = this.ends;
    return high > low ? (mean - low) / (high - low) : 0.5;
  }

  repaint() {
    for (const [element, mean] of this.tokens) paint(element, this.share(mean));
    if (!this.tokens.length) return;
    const [low, high] = this.ends;
    const swatches = Array.from({ length: SWATCHES }, (_, i) => {
      const swatch = document.createElement("span");
      swatch.textContent = (low + ((high - low) * i) / (SWATCHES - 1)).toFixed(1);
      paint(swatch, high > low ? i / (SWATCHES - 1) : 0.5);
      return swatch;
    });
    this.legend.replaceChildren("Active experts of a token, mean of its linears: ", ...swatches);
    this.legend.hidden = false;
  }
}
