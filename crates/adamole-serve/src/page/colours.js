// Colours of shares from 0 to 1: cividis (Nunez, Anderton and Renslow, 2018), which looks alike with and without colour
// blindness.

const RAMP = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]];

/** Gives an element the background of a share, and the ink that has more contrast with it. */
export function paint(element, share) {
  const colour = mixed(share);
  element.style.backgroundColor = `rgb(${colour.join(" ")})`;
  element.style.color = luminance(colour) > 0.179 ? "#000" : "#fff";
}

function mixed(share) {
  const place = Math.min(Math.max(share, 0), 1) * (RAMP.length - 1);
  const low = Math.min(Math.floor(place), RAMP.length - 2);
  return RAMP[low].map((from, i) => Math.round(from + (RAMP[low + 1][i] - from) * (place - low)));
}

/** As WCAG defines it; at 0.179 black and white have the same contrast, 4.6. */
function luminance(colour) {
  const [red, green, blue] = colour.map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
