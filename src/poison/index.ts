/**
 * poison: the list of what is not clean. States, its durable store with intents, and its texts.
 *
 * Promises: every byte is in exactly one state (R7), look-ups are O(log n), nothing leaves the list but by durable data
 * or a recorded acknowledgement (R4). Stands on base and os.
 */
export {
  BADBLOCKS_LIMIT,
  BadblocksTable,
  type BadblocksRecord,
  type BadblocksTableOptions,
} from "./badblocks-table.ts";
export { populateBadblocks, type PopulatedBadblocks } from "./badblocks-populate.ts";
export {
  PoisonList,
  type PoisonChange,
  type PoisonState,
  type PoisonTotals,
  type PoisonView,
  type StateRange,
} from "./poison-list.ts";
export type { FaultChange, FaultKind, Intent, PoisonStore } from "./poison-store.ts";
export {
  createMemoryStore,
  createPoisonStore,
  openPoisonStore,
  sidecarPath,
  type CreateStoreOptions,
  type OpenStoreOptions,
} from "./sidecar.ts";
export type { StateChange } from "./store-records.ts";
export { importedChanges, importStates } from "./import-states.ts";
export { kernelList, kernelListFiles, type KernelList } from "./kernel-list.ts";
export { detectPoisonFormat, parsePoisonText } from "./texts/any-text.ts";
export { formatBadblocks, parseBadblocks } from "./texts/badblocks.ts";
export { formatCxl, parseCxl } from "./texts/cxl-json.ts";
export {
  formatMapfile,
  formatMapRanges,
  parseMapfile,
  parseMapRanges,
  type FormatMapOptions,
  type FormatRangesOptions,
  type MapRange,
  type MapStatus,
} from "./texts/mapfile.ts";
export { formatNdctl, parseNdctl } from "./texts/ndctl-json.ts";
export type { ParsedList, ParseOptions, PoisonFormat } from "./texts/parsed-list.ts";
