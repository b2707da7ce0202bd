/** target-types: the list of kinds of targets: one line each. */
import type { TargetType } from "./target.ts";
import { dust } from "./targets/dust/dust.ts";
import { error } from "./targets/error.ts";
import { linear } from "./targets/linear.ts";
import { logWrites } from "./targets/log-writes/log-writes.ts";
import { mirror } from "./targets/mirror.ts";
import { raid } from "./targets/raid.ts";
import { striped } from "./targets/striped.ts";
import { unstriped } from "./targets/unstriped.ts";
import { writecache } from "./targets/writecache/writecache.ts";
import { zero } from "./targets/zero.ts";

/** Every kind, by the name that tables use. */
export const TARGET_TYPES: ReadonlyMap<string, TargetType> = new Map(
  [linear, striped, unstriped, error, zero, dust, logWrites, mirror, raid, writecache].map(
    (type) => [type.name, type],
  ),
);
