/** mirror-capabilities: what a mirror can do, computed from its legs: where one of them is enough the best of them decides, else the worst. */
import { CLEAR_KINDS, type Capabilities, type Device } from "../../device/index.ts";
import { joinedCapabilities } from "../mapped-capabilities.ts";

/** A write is in the mirror when one leg took it: so it clears as its best leg does. All else is what all legs promise. */
export function mirrorCapabilities(legs: readonly Device[]): Capabilities {
  const kinds = new Set(legs.map(({ capabilities }) => capabilities.clear));
  const weakest = joinedCapabilities(legs);
  return { ...weakest, clear: CLEAR_KINDS.find((kind) => kinds.has(kind)) ?? weakest.clear };
}
