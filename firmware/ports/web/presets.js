// Factory presets; patches by name, kept in this browser; as a file, and as a link.

import {make} from "./bay.js";
import {readPatch, toAddress} from "./patch.js";

// A page has the model that it was made with, and no slots.
const named = ({slot}) => slot === null ? "" : ` It was made for ${slot ? `the model in slot ${slot}` : "the built-in model"}; this page plays its own.`;

export class Presets {
  constructor(root, desk, warn) {
    this.root = root;
    this.desk = desk;
    this.warn = warn;
    this.key = `vaectrol/${desk.about.name}/patches`;
    this.fill();
  }

  all() {
    try {
      return JSON.parse(localStorage.getItem(this.key)) || {};
    } catch {
      return {};
    }
  }

  keep(patches) {
    try {
      localStorage.setItem(this.key, JSON.stringify(patches));
    } catch {
      this.warn("This browser keeps nothing for pages like this one; save the patch as a file or copy the link.");
    }
    this.fill();
  }

  async read(file) {
    try {
      let told;
      try {
        told = JSON.parse(await file.text());
      } catch {
        throw new Error(`${file.name} is no patch: it is not JSON.`);
      }
      this.desk.load(readPatch(this.desk.about, told));
      this.warn("");
    } catch (error) {
      this.warn(error.message);
    }
  }

  fill() {
    const {desk} = this, patches = this.all(), name = make("input", {type: "text", placeholder: "name", "aria-label": "Name of the patch", maxlength: 40});
    const said = make("p", {class: "said", role: "status"});
    this.root.replaceChildren(
      make("div", {class: "buttons"}, name,
        make("button", {type: "button", onclick: () => this.keep({...this.all(), [name.value.trim() || "my patch"]: desk.patch})}, "Keep"),
        make("button", {type: "button", id: "copy-link", onclick: async () => {
          desk.remember();
          const link = `${location.href.split("#")[0]}#patch=${toAddress(desk.patch)}`;
          try {
            await navigator.clipboard.writeText(link);
            said.textContent = "The link is copied.";
          } catch {
            said.textContent = "Copy the link from the address line.";
          }
        }}, "Copy link"),
        make("button", {type: "button", onclick: () => {
          const link = make("a", {href: URL.createObjectURL(new Blob([JSON.stringify(desk.patch, null, 1)], {type: "application/json"})),
            download: `${desk.about.name}.json`});
          link.click();
        }}, "Save file"),
        make("label", {class: "button"}, "Open file", make("input", {type: "file", accept: ".json", class: "hidden", "aria-label": "Open a patch file",
          onchange: ({target}) => target.files.length && this.read(target.files[0])}))),
      said,
      ...(desk.about.presets.length ? [
        make("h3", {}, "Factory presets"),
        make("ul", {class: "kept", id: "factory"}, ...desk.about.presets.map((preset) => make("li", {},
          make("button", {type: "button", title: preset.words, "aria-label": `${preset.name}. ${preset.words}`, onclick: () => {
            desk.recall(preset);
            said.textContent = `${preset.name}. ${preset.words}${named(preset)}`;
          }}, preset.name)))),
        make("h3", {}, "My patches")] : []),
      make("ul", {class: "kept"}, ...Object.entries(patches).map(([title, patch]) => make("li", {},
        make("button", {type: "button", onclick: () => {
          try {
            desk.load(readPatch(desk.about, patch));
          } catch (error) {
            this.warn(error.message);
          }
        }}, title),
        make("button", {type: "button", class: "close", "aria-label": `Forget ${title}`, onclick: () => {
          const rest = this.all();
          delete rest[title];
          this.keep(rest);
        }}, "×")))));
  }
}
