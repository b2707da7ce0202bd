/** Unclaimed: what blocks are that no inode claims: free by a trusted bitmap, the rest of a cluster, or unknown with the reason. */
import { endOf, type ByteRange } from "../../base/index.ts";
import type { ClaimSweep } from "../claim-sweep.ts";
import type { Claim } from "./claims.ts";
import { hasFeature } from "./features.ts";
import type { OwnerDraft, Segment } from "../owner-draft.ts";
import { draftOf, unknownDraft } from "../owner-texts.ts";
import type { Ext4Volume } from "./volume.ts";

/** Reasons that are told of one unknown block. */
const REASONS_TOLD = 3;

/** What is known when nobody claims a range. */
export interface Known {
  readonly sweep: ClaimSweep<Claim>;
  /** What hides inodes or parts of them; asked only where a block in use has no owner. */
  reasons(): Promise<readonly string[]>;
}

/** Segments of a range that no inode claims and that has no static use. */
export async function unclaimedSegments(
  volume: Ext4Volume,
  known: Known,
  range: ByteRange,
): Promise<Segment[]> {
  const { blockSize } = volume.superblock;
  const first = Math.floor(range.offset / blockSize);
  const last = Math.floor((endOf(range) - 1) / blockSize);
  const segments: Segment[] = [];
  let at = range.offset;
  const upTo = (end: number, owner: OwnerDraft): void => {
    const to = Math.min(end, endOf(range));
    if (to > at) segments.push({ offset: at, length: to - at, owners: [owner] });
    at = Math.max(at, to);
  };
  for (const run of await volume.allocated(first, last - first + 1)) {
    const end = (run.block + run.count) * blockSize;
    upTo(run.block * blockSize, unknownDraft("No block bitmap covers it"));
    if (run.known && !run.used) upTo(end, draftOf("free-space"));
    else if (!hasFeature(volume.superblock, "bigalloc"))
      upTo(end, unknownDraft(whyUnknown(await known.reasons(), run.known)));
    else
      await clusterRests(volume, known, {
        at,
        end: Math.min(end, endOf(range)),
        known: run.known,
        upTo,
      });
  }
  upTo(endOf(range), unknownDraft("No block bitmap covers it"));
  return segments;
}

/** Tells the unclaimed blocks of clusters in use: the rest of a cluster whose other blocks have an owner is slack. */
async function clusterRests(
  volume: Ext4Volume,
  known: Known,
  part: { at: number; end: number; known: boolean; upTo: (end: number, owner: OwnerDraft) => void },
): Promise<void> {
  const { blockSize, clusterSize } = volume.superblock;
  const ratio = clusterSize / blockSize;
  for (let at = part.at; at < part.end;) {
    const cluster = Math.floor(at / clusterSize);
    const end = Math.min(part.end, (cluster + 1) * clusterSize);
    const neighbour = known.sweep.neighbour(cluster * ratio, (cluster + 1) * ratio);
    const metadata = [...volume.staticUses(cluster * ratio, ratio)].length > 0;
    if (neighbour?.doubt !== undefined) part.upTo(end, unknownDraft(neighbour.doubt));
    else if (neighbour !== undefined)
      part.upTo(end, draftOf("cluster-slack", { inode: neighbour.inode }));
    else if (metadata) part.upTo(end, draftOf("cluster-slack"));
    else part.upTo(end, unknownDraft(whyUnknown(await known.reasons(), part.known)));
    at = end;
  }
}

function whyUnknown(reasons: readonly string[], known: boolean): string {
  const state = known
    ? "In use by the block bitmap, but no inode that can be read claims it"
    : "The block bitmap is unreadable, and no inode that can be read claims it";
  if (reasons.length === 0) return known ? `${state}: the file system is inconsistent` : state;
  const told = reasons.slice(0, REASONS_TOLD).join("; ");
  const more =
    reasons.length > REASONS_TOLD
      ? `; and ${reasons.length - REASONS_TOLD} more things are hidden`
      : "";
  return `${state}: ${told}${more}`;
}
