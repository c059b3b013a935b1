// What plays for a module that has no sound of its own, as cables to other modules would.

import {Notes} from "./notes.js";
import {Struck} from "./struck.js";

// outside: {hits} or {notes} of a page, or null; the player renders `rows`.
export function playerOf(outside, most, rateHz) {
  if (outside === null) return null;
  return outside.notes ? new Notes(outside.notes, most, rateHz) : new Struck(outside.hits, most);
}
