/** target-types: the list of kinds of targets: one line each. */
import type { TargetType } from "./target.ts";
import { linear } from "./targets/linear.ts";
import { striped } from "./targets/striped.ts";

/** Every kind, by the name that tables use. */
export const TARGET_TYPES: ReadonlyMap<string, TargetType> = new Map(
  [linear, striped].map((type) => [type.name, type]),
);
