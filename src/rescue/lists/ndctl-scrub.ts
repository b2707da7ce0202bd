/**
 * ndctlScrub: persistent memory's own search for bad bytes: the firmware's address range scrub, begun and waited for by ndctl. Afterwards the kernel's list is whole.
 *
 * It reads for minutes to hours and harms nobody; one at a time on a bus, so one that runs already is waited for.
 */
import { basename } from "node:path";
import { StorageError } from "../../base/index.ts";
import { runProgram, type BlockNode, type ProgramRunner } from "../../os/index.ts";

/** Milliseconds that a scrub may take: a day. */
const SCRUB_MS = 86_400_000;

/** The bus of a disk of persistent memory: "ndbus0"; `undefined` of other devices. */
export function busOf(node: BlockNode): string | undefined {
  return node.folder.split("/").find((part) => /^ndbus\d+$/.test(basename(part)));
}

/**
 * Scrubs the bus of a device.
 *
 * @throws {StorageError} EOPNOTSUPP where it is no persistent memory, or ndctl is not installed; ENXIO where the firmware failed; ETIMEDOUT after a day
 */
export async function ndctlScrub(
  node: BlockNode,
  options: { readonly run?: ProgramRunner; readonly signal?: AbortSignal } = {},
): Promise<void> {
  const { run = runProgram, signal } = options;
  const bus = busOf(node);
  if (bus === undefined)
    throw new StorageError(
      "EOPNOTSUPP",
      `Cannot scrub ${node.name}: want persistent memory: theriac survey --scan reads any device`,
      { path: node.name, syscall: "scrub" },
    );
  for (const verb of ["start-scrub", "wait-scrub"] as const) {
    const answer = await run(["ndctl", verb, bus], {
      timeoutMs: SCRUB_MS,
      ...(signal === undefined ? {} : { signal }),
    });
    signal?.throwIfAborted();
    if (answer.kind === "ended" && answer.status === 0) continue;
    const said = answer.stderr.trim().split("\n").at(-1) ?? "";
    // one runs already: it is waited for
    if (verb === "start-scrub" && /busy|in progress/i.test(said)) continue;
    const code = { missing: "EOPNOTSUPP", hung: "ETIMEDOUT" } as const;
    const how = answer.kind === "missing" ? "ndctl is not installed" : `ndctl ${verb}: ${said}`;
    throw new StorageError(
      answer.kind === "missing" || answer.kind === "hung" ? code[answer.kind] : "ENXIO",
      `Cannot scrub ${node.name}: ${how}`,
      { path: node.name, syscall: verb },
    );
  }
}
