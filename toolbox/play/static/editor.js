/** The editor of renditions.toml: mistakes under their lines, completion from the JSON Schema. */

import { acceptCompletion, autocompletion, closeBrackets, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { HighlightStyle, StreamLanguage, bracketMatching, syntaxHighlighting } from "@codemirror/language";
import { toml } from "@codemirror/legacy-modes/mode/toml";
import { Annotation, EditorState, StateEffect, StateField } from "@codemirror/state";
import { Decoration, EditorView, WidgetType, drawSelection, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { h } from "play/dom";
import { send } from "play/store";

const PAUSE = 120;

const setMistakes = StateEffect.define();
/** Marks changes that are not typed here. */
const fromServer = Annotation.define();

class MistakeLine extends WidgetType {
  constructor(text) {
    super();
    this.text = text;
  }

  eq(other) {
    return other.text === this.text;
  }

  toDOM() {
    return h("div", { className: "mistake", role: "note" }, this.text);
  }
}

const mistakeField = StateField.define({
  create: () => Decoration.none,
  update(decorations, transaction) {
    let found = decorations.map(transaction.changes);
    for (const effect of transaction.effects) {
      if (!effect.is(setMistakes)) continue;
      const { doc } = transaction.state;
      const ranges = effect.value.flatMap(({ line, text }) => {
        const { from, to } = doc.line(Math.min(line, doc.lines));
        return [
          Decoration.line({ class: "wrong" }).range(from),
          Decoration.widget({ widget: new MistakeLine(text), block: true, side: 1 }).range(to),
        ];
      });
      found = Decoration.set(ranges, true);
    }
    return found;
  },
  provide: (field) => EditorView.decorations.from(field),
});

const highlighting = HighlightStyle.define([
  { tag: tags.comment, color: "var(--soft)", fontStyle: "italic" },
  { tag: tags.string, color: "var(--code-string)" },
  { tag: [tags.number, tags.bool, tags.atom], color: "var(--code-number)" },
  { tag: tags.propertyName, color: "var(--ink)" },
  { tag: [tags.heading, tags.labelName, tags.keyword], color: "var(--accent)", fontWeight: "600" },
]);

// Completion: the tables of the schema, their fields, and the values of each field.

/** Return the schema of the table that a line is in, and the fields that it has already. */
function tableAt(schema, state, number) {
  const definitions = schema.$defs;
  let header = "";
  let start = 0;
  for (let line = number; line >= 1; line -= 1) {
    const match = /^\s*\[\[?\s*([\w-]+)/.exec(state.doc.line(line).text);
    if (match) {
      header = match[1];
      start = line;
      break;
    }
  }
  const top = definitions.RenditionsFile;
  const follow = (node) => (node?.$ref ? definitions[node.$ref.split("/").at(-1)] : node);
  const found = {
    "": top,
    renditions: follow(top.properties.renditions.additionalProperties),
    rules: follow(top.properties.rules.items),
    limits: follow(top.properties.limits),
    inputs: follow(top.properties.inputs),
  }[header];
  const present = new Set();
  for (let line = start + 1; line <= state.doc.lines; line += 1) {
    const { text } = state.doc.line(line);
    if (/^\s*\[/.test(text)) break;
    const key = /^\s*([\w-]+)\s*=/.exec(text);
    if (key && line !== number) present.add(key[1]);
  }
  return { properties: found?.properties ?? {}, present, follow, isTop: header === "" };
}

/** Return the alternatives of a field: enums, and what arrays of them hold. */
function valuesOf(node, follow) {
  const type = follow(node);
  if (!type) return [];
  if (type.enum) return type.enum.map((value) => JSON.stringify(value));
  if (type.type === "boolean") return ["true", "false"];
  if (type.items) return valuesOf(type.items, follow);
  return (type.anyOf ?? []).flatMap((each) => valuesOf(each, follow));
}

const descriptionOf = (node) => node?.description ?? node?.anyOf?.map((each) => each.description).find(Boolean) ?? "";

function completeWith(schema, context) {
  const line = context.state.doc.lineAt(context.pos);
  const before = line.text.slice(0, context.pos - line.from);
  if (/^\s*#/.test(before)) return null;
  const { properties, present, follow, isTop } = tableAt(schema, context.state, line.number);
  const value = /^\s*([\w-]+)\s*=\s*(?:\[.*?)?("?[\w: -]*)$/.exec(before);
  if (value && !/\]\s*$/.test(before)) {
    const options = valuesOf(properties[value[1]], follow);
    const typed = value[2].trimStart();
    if (!options.length || (!typed && !context.explicit)) return null;
    return { from: context.pos - typed.length, options: options.map((label) => ({ label, type: "constant" })) };
  }
  const table = /^\s*\[+\s*([\w.]*)$/.exec(before);
  if (table) {
    const labels = ["[renditions.", "[[rules]]", "[limits]", "[inputs]"];
    return { from: line.from + before.indexOf("["), options: labels.map((label) => ({ label, type: "class" })), filter: true };
  }
  const field = /^\s*([\w-]*)$/.exec(before);
  if (!field || (!field[1] && !context.explicit)) return null;
  const names = Object.keys(properties).filter((name) => !present.has(name) && !(isTop && ["renditions", "rules", "limits", "inputs"].includes(name)));
  return {
    from: context.pos - field[1].length,
    options: names.map((name) => ({ label: name, apply: `${name} = `, detail: descriptionOf(properties[name]), type: "property" })),
  };
}

export async function createEditor(parent, recipe) {
  const schema = await send("GET", "/schema.json");
  let sent = recipe.text;
  let timer;
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc: recipe.text,
      extensions: [
        EditorView.cspNonce.of(document.querySelector("script[nonce]").nonce),
        lineNumbers(),
        history(),
        drawSelection(),
        highlightActiveLine(),
        bracketMatching(),
        closeBrackets(),
        StreamLanguage.define(toml),
        syntaxHighlighting(highlighting),
        autocompletion({ override: [(context) => completeWith(schema, context)], icons: false }),
        mistakeField,
        keymap.of([{ key: "Tab", run: acceptCompletion }, ...completionKeymap, ...historyKeymap, ...defaultKeymap]),
        EditorView.contentAttributes.of({ "aria-label": recipe.file, spellcheck: "false" }),
        EditorView.lineWrapping,
        EditorView.updateListener.of((update) => {
          if (!update.docChanged || update.transactions.some((transaction) => transaction.annotation(fromServer))) return;
          clearTimeout(timer);
          timer = setTimeout(push, PAUSE);
        }),
      ],
    }),
  });

  function push() {
    timer = undefined;
    sent = view.state.doc.toString();
    send("PUT", "/recipe", { text: sent }).catch(() => {});
  }

  return {
    update({ text, mistakes }) {
      if (timer !== undefined) return; // somebody types: what is typed is newer
      if (text !== view.state.doc.toString()) {
        if (text === sent) return;
        view.dispatch({ changes: difference(view.state.doc.toString(), text), annotations: fromServer.of(true) });
      }
      sent = text;
      view.dispatch({ effects: setMistakes.of(mistakes) });
    },
  };
}

/** Return the smallest change from one text to another, so that the cursor stays. */
function difference(before, after) {
  let from = 0;
  while (from < before.length && from < after.length && before[from] === after[from]) from += 1;
  let end = 0;
  const limit = Math.min(before.length, after.length) - from;
  while (end < limit && before[before.length - 1 - end] === after[after.length - 1 - end]) end += 1;
  return { from, to: before.length - end, insert: after.slice(from, after.length - end) };
}
