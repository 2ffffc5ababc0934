// The conversation: settings, messages, and one or two models that answer them.

import { chat, models, ServerError, setApiKey } from "./api.js";
import { Answer, element } from "./answer.js";
import { Scale } from "./scale.js";

const of = (id) => document.getElementById(id);
const scale = new Scale(of("legend"));
let known = [];
/** Messages with the answers of one or two models. */
let turns = [];
let running = null;

async function loadModels() {
  try {
    known = await models();
  } catch (error) {
    return refused(error);
  }
  of("notice").hidden = true;
  const options = () => known.map((model) => new Option(named(model), model.id));
  of("model").replaceChildren(...options());
  of("compare").replaceChildren(new Option("no other", ""), ...options());
  const routed = known.find((model) => model.adamole?.linears?.length);
  if (routed) of("model").value = routed.id;
  return undefined;
}

function named(model) {
  const { method, experts } = model.adamole ?? {};
  if (!method) return model.id;
  return experts > 1 ? `${model.id} (${method}, ${experts} experts)` : `${model.id} (${method})`;
}

/** Says what went wrong with the page as a whole, and asks for a key where that is what is missing. */
function refused(error) {
  if (!(error instanceof ServerError)) throw error;
  of("key-form").hidden = error.status !== 401;
  of("notice").hidden = error.status === 401;
  of("notice").textContent = error.message;
  if (error.status === 401) of("key").focus();
}

/** The conversation as a model sees it: its own answers, or the first model's where it has none. */
function messages(turn, side) {
  const system = of("system").value.trim();
  const list = system ? [{ role: "system", content: system }] : [];
  for (const { message, answers } of turns.slice(0, turns.indexOf(turn))) {
    const answer = answers[side]?.text || answers[0]?.text;
    if (answer) list.push({ role: "user", content: message }, { role: "assistant", content: answer });
  }
  return [...list, { role: "user", content: turn.message }];
}

function requestOf(turn, side, model) {
  const seed = of("seed").value;
  return {
    model: model.id,
    messages: messages(turn, side),
    temperature: Number(of("temperature").value),
    max_tokens: Number(of("max-tokens").value),
    stream_options: { include_usage: true },
    ...(seed !== "" && { seed: Number(seed) }),
    ...(model.adamole?.linears?.length && { routing: true }),
  };
}

async function answer(turn, side, model, signal) {
  const made = new Answer(model, scale);
  const before = turn.answers[side];
  if (before) before.element.replaceWith(made.element);
  else turn.element.append(made.element);
  turn.answers[side] = made;
  const say = announcer(model);
  try {
    for await (const chunk of chat(requestOf(turn, side, model), signal)) {
      const follows = atEnd();
      made.add(chunk);
      say(made.text);
      if (follows) window.scrollTo({ top: document.body.scrollHeight });
    }
  } catch (error) {
    if (error.name !== "AbortError") {
      made.fail(error instanceof ServerError ? error.message : `This page failed: ${error.message}`,
        () => run(turn, [[side, model]]));
      if (error.status === 401) refused(error);
      return;
    }
    made.ended = "stopped";
  }
  made.finish();
  say(made.text, true);
}

/** Says an answer to screen readers, in sentences. */
function announcer(model) {
  let said = 0;
  return (text, all = false) => {
    const rest = text.slice(said);
    const end = all ? rest.length : rest.search(/[.!?:\n]\s[^]*$/) + 1;
    if (end < 1) return;
    of("announcer").append(element("p", "", said === 0 ? `${model.id}: ${rest.slice(0, end)}` : rest.slice(0, end)));
    said += end;
  };
}

const atEnd = () => window.innerHeight + window.scrollY > document.body.scrollHeight - 60;

/** Lets the models at their sides answer a turn. */
async function run(turn, sides) {
  if (running) return;
  running = new AbortController();
  busy(true);
  await Promise.all(sides.map(([side, model]) => answer(turn, side, model, running.signal)));
  running = null;
  busy(false);
}

function busy(is) {
  of("send").disabled = is;
  of("new").disabled = is;
  of("stop").disabled = !is;
}

function send() {
  const message = of("message").value;
  const chosen = [of("model").value, of("compare").value].filter(Boolean);
  const asked = chosen.map((id) => known.find((model) => model.id === id)).filter(Boolean);
  if (running || !message.trim() || !asked.length) return;
  const invalid = document.querySelector("#settings input:invalid");
  if (invalid) {
    invalid.closest("details").open = true;
    invalid.reportValidity();
    return;
  }
  of("start").hidden = true;
  const turn = { message, answers: [], element: element("div", asked.length > 1 ? "answers two" : "answers") };
  const said = element("section", "message");
  said.append(element("h2", "unseen", "Message"), element("p", "", message));
  of("turns").append(said, turn.element);
  turns.push(turn);
  of("message").value = "";
  if (matchMedia("(pointer: fine)").matches) of("message").focus();
  said.scrollIntoView({ block: "start" });
  run(turn, [...asked.entries()]);
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("adamole-theme", theme);
  of("theme").value = theme;
}

setTheme(localStorage.getItem("adamole-theme") ?? "");
of("theme").addEventListener("change", (event) => setTheme(event.target.value));
of("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
of("message").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
of("colours").addEventListener("change", (event) => scale.setWhole(event.target.value === "whole"));
document.addEventListener("keydown", (event) => event.key === "Escape" && running?.abort());
of("stop").addEventListener("click", () => {
  running?.abort();
  of("message").focus();
});
of("new").addEventListener("click", () => {
  turns = [];
  scale.reset();
  of("turns").replaceChildren();
  of("announcer").replaceChildren();
  of("start").hidden = false;
  of("message").focus();
});
of("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setApiKey(of("key").value);
  of("key").value = "";
  of("key-form").hidden = true;
  of("message").focus();
  loadModels();
});
loadModels();
