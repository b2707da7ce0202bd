/**
 * EarlierWork: what an earlier run left, and whether it is of this source: a map without its source's identity, an output that is gone or another, are refused before anything is
 * touched (S26).
 *
 * Where a map calls nothing finished, nothing of the output tells whose it is: then the identity does, which knows the output that was begun.
 *
 * A map that ddrescue made has no identity. It is adopted on request, once bytes of the output that it calls finished were found in the source at the same places.
 */
import { resolve } from "node:path";
import { endOf, StorageError } from "../../base/index.ts";
import { isConstant } from "../../donor/index.ts";
import type { HostFile, HostFiles } from "../../os/index.ts";
import { sidecarPath } from "../../poison/index.ts";
import { CopyMap } from "./copy-map.ts";
import {
  checkIdentity,
  checkSamples,
  identityPath,
  takeIdentity,
  writeIdentity,
  type SalvageIdentity,
} from "./salvage-identity.ts";
import { checkHashes, readHashes } from "./salvage-hashes.ts";
import { readCopyMap } from "./salvage-map.ts";
import type { SalvageSource } from "./salvage-source.ts";

/** What an earlier run of this salvage left. */
export interface EarlierWork {
  readonly map: CopyMap;
  /** Whether identity and map are still to be written. */
  readonly begin: boolean;
  /** Whether the output exists. */
  readonly exists: boolean;
}

/** Where it is looked for. */
export interface EarlierPlace {
  readonly out: string;
  readonly map: string;
  readonly files: HostFiles;
  /** Whether a map without an identity is taken, once its output was compared with the source. */
  readonly adopt: boolean;
}

const SAMPLE = 4096;
/** Places that are compared before a map is adopted. */
const SAMPLES = 64;

/**
 * Finds what an earlier run left.
 *
 * @throws {StorageError} EEXIST where the output is nobody's; ESTALE where map or output are another source's, or the output has a list of its own; EBADMSG where the map is none
 */
export async function earlierWork(source: SalvageSource, at: EarlierPlace): Promise<EarlierWork> {
  const { out, map, files } = at;
  const output = files.info(out);
  const isNew = files.info(map) === undefined;
  if (isNew && output !== undefined)
    throw new StorageError(
      "EEXIST",
      `Cannot salvage to "${out}": it exists, and has no map "${map}" of an earlier run`,
      { path: out },
    );
  checkListless(at);
  if (isNew) return { map: new CopyMap(source.size), begin: true, exists: false };
  const adopts = at.adopt && files.info(identityPath(map)) === undefined;
  const identity = adopts ? undefined : await checkIdentity(files, map, source);
  const earlier = readCopyMap(files, map, source.size);
  if (earlier.bytes("+") > 0) await checkOutput(source, earlier, { ...at, identity });
  else if ((output?.size ?? 0) > 0) checkBegun(at, identity);
  if (adopts) writeIdentity(files, map, await takeIdentity(source, out));
  return { map: earlier, begin: false, exists: output !== undefined };
}

/**
 * An output with a list of its own is more than what a salvage left: somebody repaired it, and its map does not know. To go on would put zeros over what was repaired.
 *
 * @throws {StorageError} ESTALE
 */
function checkListless({ out, files }: EarlierPlace): void {
  const list = sidecarPath(files.real?.(out) ?? out);
  if (files.info(list) === undefined) return;
  throw new StorageError(
    "ESTALE",
    `Refused output "${out}": "${list}" is a list of its own, so it was repaired or made otherwise: salvage to another output, and repair this one from that`,
    { path: out },
  );
}

/** Nothing is finished, but somebody's bytes are there: they are an earlier run's only in the output that was begun. @throws {StorageError} EEXIST */
function checkBegun({ out, map }: EarlierPlace, identity: SalvageIdentity | undefined): void {
  const begun = identity?.output;
  if (identity !== undefined && (map === `${out}.map` || begun === resolve(out))) return;
  const whose = begun === undefined ? "" : ` (it is of "${begun}")`;
  throw new StorageError(
    "EEXIST",
    `Cannot salvage to "${out}": it exists, and map "${map}" calls nothing in it finished${whose}`,
    { path: out },
  );
}

async function checkOutput(
  source: SalvageSource,
  earlier: CopyMap,
  told: EarlierPlace & { readonly identity: SalvageIdentity | undefined },
): Promise<void> {
  const { out, map, files, identity } = told;
  const adopts = identity === undefined;
  const output = files.info(out);
  if (output === undefined) {
    throw new StorageError(
      "ESTALE",
      `Refused map "${map}": its output "${out}" is not there: move the map away to begin anew`,
      { path: map },
    );
  }
  // ddrescue's output ends with the last byte that came.
  const last = [...earlier.of("+")].at(-1);
  const isWhole =
    output.size === source.size || (adopts && last !== undefined && output.size >= endOf(last));
  if (!isWhole || output.size > source.size) {
    throw new StorageError(
      "ESTALE",
      `Refused output "${out}": it has ${output.size} bytes, and the source ${source.size}`,
      { path: out },
    );
  }
  const file = files.open(out);
  try {
    if (adopts) await compareOutput(source, earlier, { file, map });
    else checkSamples(file, { identity, map: earlier, name: map });
    checkHashes(file, readHashes(files, map, earlier), map);
  } finally {
    file.close();
  }
}

/** Proves by equal bytes that an output is of this source. @throws {StorageError} ESTALE where they differ, or nothing tells */
async function compareOutput(
  source: SalvageSource,
  earlier: CopyMap,
  { file, map }: { readonly file: HostFile; readonly map: string },
): Promise<void> {
  const ours = new Uint8Array(SAMPLE);
  const theirs = new Uint8Array(SAMPLE);
  let equal = 0;
  const step = Math.max(SAMPLE, Math.floor(source.size / (SAMPLES * 8) / SAMPLE) * SAMPLE);
  for (let at = 0; at + SAMPLE <= source.size && equal < SAMPLES; at += step) {
    if (earlier.unfinished({ offset: at, length: SAMPLE }).length > 0) continue;
    if (file.readSync(ours, at) < SAMPLE || isConstant(ours)) continue;
    const { missing } = await source.read(theirs, at);
    if (missing.length > 0) continue;
    if (Buffer.compare(ours, theirs) !== 0) {
      throw new StorageError(
        "ESTALE",
        `Refused map "${map}": bytes ${at} to ${at + SAMPLE} of "${file.path}" are not those of the source`,
        { path: map },
      );
    }
    equal += 1;
  }
  if (equal > 0) return;
  throw new StorageError(
    "ESTALE",
    `Refused map "${map}": nothing in "${file.path}" tells that it is of this source`,
    { path: map },
  );
}
