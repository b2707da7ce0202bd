/**
 * PlanTwins: bytes of any kind from the other legs of the target's own mirror. Asked first: a leg that is in step holds what stood there, whatever
 * the file system says of it, so neither a pending journal nor an unknown owner stands in the way.
 */
import { RangeSet, StorageError } from "../../base/index.ts";
import { cleanPieces, gradeTwin, readOrMissing, type DonorTwin } from "../../donor/index.ts";
import type { Damage } from "../damage.ts";
import { ownerAt, sha256, stepPieces, type Planner } from "./planner.ts";

/** Plans what legs can give. @returns what remains for others */
export async function planTwins(
  planner: Planner,
  damages: readonly Damage[],
): Promise<readonly Damage[]> {
  if (planner.donors.every(({ twin }) => twin === undefined)) return damages;
  const rest: Damage[] = [];
  for (const damage of damages) {
    await planner.checkpoint();
    rest.push(...(isOnRequest(planner, damage) ? [damage] : await askTwins(planner, damage)));
  }
  return rest;
}

/** Free space is healed where somebody asks for it, from whomever. */
function isOnRequest(planner: Planner, damage: Damage): boolean {
  return (
    !planner.free &&
    damage.owners.every(({ kind, what }) => kind === "free" || what === "unwritten")
  );
}

async function askTwins(planner: Planner, damage: Damage): Promise<readonly Damage[]> {
  const open = RangeSet.from([damage]);
  for (const [index, { twin }] of planner.donors.entries()) {
    if (twin === undefined) continue;
    for (const range of Array.from(open)) {
      for (const piece of stepPieces(range))
        await takePiece(
          planner,
          { damage: { ...damage, ...piece, whole: damage }, index, twin },
          open,
        );
    }
  }
  return Array.from(open, (range) => Object.assign({}, damage, range));
}

async function takePiece(
  planner: Planner,
  ask: {
    readonly damage: Damage & { readonly whole: Damage };
    readonly index: number;
    readonly twin: DonorTwin;
  },
  open: RangeSet,
): Promise<void> {
  const { damage, index, twin } = ask;
  const bytes = new Uint8Array(damage.length);
  try {
    const verdict = await gradeTwin({ target: planner.target.device, twin }, damage);
    if (verdict.grade !== "proven") return;
    const { missing } = await readOrMissing(twin.device, bytes, damage.offset);
    for (const { offset, length } of cleanPieces(damage, missing)) {
      const from = offset - damage.offset;
      planner.drafts.push({
        offset,
        length,
        state: damage.state,
        action: "write",
        owner: ownerAt(damage, offset),
        donor: { index, from: "twin", offset },
        grade: verdict.grade,
        sha256: sha256(bytes.subarray(from, from + length)),
        reason: verdict.reason,
      });
      open.delete(offset, length);
    }
  } catch (error) {
    // A leg that fails gives nothing: whoever comes next is asked.
    if (!(error instanceof StorageError)) throw error;
  }
}
