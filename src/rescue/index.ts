/**
 * rescue: survey, salvage, plan, repair, verify: the chain from an I/O error to a healed file.
 *
 * Promises: R1 to R9 (docs/recovery.md). Nothing is written but by a plan, or to an output that did not exist.
 */
export { checkFresh } from "./repair/fresh.ts";
export {
  applyPlan,
  type Applied,
  type ApplyOptions,
  type ApplyParts,
  type StepJournal,
} from "./repair/apply.ts";
export type { StepOutcome, StepResult } from "./repair/apply-batch.ts";
export type {
  DoneRecord,
  EndRecord,
  LogRecord,
  ResumedRecord,
  RunKind,
  RunRecord,
  StepRecord,
} from "./repair/log-record.ts";
export { acknowledge, type Acknowledged, type AcknowledgeWhat } from "./repair/acknowledge.ts";
export { givenUp, type GivenUp } from "./repair/given-up.ts";
export {
  makeManifest,
  pathList,
  type LostRange,
  type Manifest,
  type ManifestParts,
  type PathList,
  type PathListForm,
} from "./repair/manifest.ts";
export { undo, type Undone, type UndoneStep, type UndoWhat } from "./repair/undo.ts";
export { readLog, readRun, type LogDamage, type LoggedRun } from "./repair/read-log.ts";
export { RepairLog } from "./repair/repair-log.ts";
export { findInterrupted, type InterruptedRepair } from "./repair/resume.ts";
export { findDamage, isMissing, missingBytes, totalsWith, type Damage } from "./damage.ts";
export {
  closeDonors,
  digestSource,
  openDonor,
  openDonors,
  refuseItself,
  type OpenDonorOptions,
} from "./open-donor.ts";
export { openTarget } from "./open-target.ts";
export { replaceText } from "./durable-text.ts";
export { makePlan, type PlanOptions } from "./plan/plan.ts";
export {
  parsePlan,
  planText,
  readPlan,
  sumSteps,
  type Neighbour,
  type Plan,
  type PlanAction,
  type PlannedVolume,
  type PlanStep,
  type PlanSums,
  type StepDonor,
  type StepOwner,
  type Trust,
} from "./plan/plan-file.ts";
export {
  repair,
  repairExitCode,
  type Repair,
  type RepairedStep,
  type RepairOptions,
  type RepairParts,
  type RepairSums,
} from "./repair/repair.ts";
export { runOfDocument, type DoneRun, type DoneStep } from "./report/history.ts";
export { runsOfLog, type HistoryRecord } from "./report/log-history.ts";
export type { DamageMap, MapCell } from "./report/damage-map.ts";
export { reportPage } from "./report/page.ts";
export {
  report,
  type HitClass,
  type HitFile,
  type MissingRange,
  type Report,
  type ReportOptions,
} from "./report/report.ts";
export { reportText } from "./report/text.ts";
export { salvage, type Salvaged, type SalvageOptions } from "./salvage/salvage.ts";
export { POLICIES, type Policy } from "./salvage/copy-by-policy.ts";
export { openCopies, type MergeSource } from "./salvage/merge-source.ts";
export { openSource, usedSpace, type OpenSourceOptions } from "./salvage/open-source.ts";
export type { AttemptAnswer, Attempts, Limits, ProbeCounts } from "./salvage/prober.ts";
export { readDomain } from "./salvage/salvage-map.ts";
export type { SalvageReads } from "./salvage/salvage.ts";
export { fileOfTarget, wholeTarget, type SalvageSource } from "./salvage/salvage-source.ts";
export { scan, type ScanOptions } from "./scan.ts";
export { survey, type Survey, type SurveyedVolume, type SurveyOptions } from "./survey.ts";
export type { LiveTarget, Target, TargetOptions, Volume } from "./target.ts";
export {
  verify,
  verifyExitCode,
  type ComparedFile,
  type Comparison,
  type Verification,
  type VerifyOptions,
} from "./verify.ts";
export { describeTarget, type DescribeOptions } from "./describe-target.ts";
export { listFor, readPoisonList, readPoisonListFor, type GivenList } from "./open-target.ts";
export {
  readKernelLog,
  parseKernelLog,
  KernelLogReader,
  type KernelLog,
  type KernelLogOptions,
  type LoggedDisk,
} from "./kernel-log/kernel-log.ts";
export type { KernelEvent, KernelEventCause, KernelEventKind } from "./kernel-log/kernel-event.ts";
export {
  placeEvents,
  type PlacedEvent,
  type PlacedEvents,
  type PlaceOptions,
} from "./kernel-log/place-events.ts";
export {
  listedDevice,
  readDeviceLists,
  type DeviceList,
  type DeviceListOptions,
  type ListedDevice,
} from "./lists/device-lists.ts";
export type { ListSource, SourceAnswer } from "./lists/list-source.ts";
export { FollowedFile, type FollowedText } from "./watch/followed-file.ts";
export type { LogSource } from "./watch/followed-log.ts";
export { formatTextfile, writeTextfile } from "./watch/textfile.ts";
export { watch, type StandingRepair, type WatchOptions } from "./watch/watch.ts";
export type { EventRange, WatchChange, WatchEvent } from "./watch/watch-event.ts";
export type { TargetStatus } from "./watch/watched-target.ts";
export { ndctlScrub } from "./lists/ndctl-scrub.ts";
