/** ManifestOption: `--manifest FILE`: what is missing, as a file that a backup tool can be fed with. */
import { Option, type Command } from "commander";
import { nodeFiles } from "../../os/index.ts";
import {
  makeManifest,
  pathList,
  replaceText,
  type ManifestParts,
  type PathListForm,
} from "../../rescue/index.ts";
import type { CommandContext } from "../command.ts";
import { jsonPieces } from "../json.ts";
import { checkReplaceable } from "../replaceable.ts";
import { printable } from "../style.ts";

/** The two options. */
export interface ManifestOptions {
  readonly manifest?: string;
  readonly manifestFormat: "json" | PathListForm;
}

/** Adds them. */
export function addManifestOptions(command: Command): Command {
  return command
    .option("--manifest <file>", "write what is missing: files, offsets, lengths, reasons")
    .addOption(
      new Option("--manifest-format <format>", "or only paths, for rsync and tar")
        .choices(["json", "lines", "nul"])
        .default("json"),
    );
}

/** Refuses a name under which something else stands, before any work is done. @throws {StorageError} EEXIST */
export function checkManifest({ manifest }: ManifestOptions): void {
  if (manifest !== undefined) checkReplaceable(manifest, "theriac.manifest/1");
}

/** Writes the manifest where one was asked for, durably; warns of what its form cannot say. */
export function writeManifest(
  context: CommandContext,
  options: ManifestOptions,
  parts: ManifestParts,
): void {
  const { manifest: path, manifestFormat: form } = options;
  if (path === undefined) return;
  const manifest = makeManifest(parts);
  if (form === "json") {
    replaceText(nodeFiles, path, jsonPieces({ ...manifest }));
    return;
  }
  const { bytes, unsaid, pathless } = pathList(manifest, form);
  replaceText(nodeFiles, path, [bytes]);
  for (const name of unsaid.slice(0, 20))
    context.warn(`${printable(name)} cannot stand in this list: --manifest-format json has it`);
  if (pathless > 0)
    context.warn(`${pathless} missing bytes belong to no file: --manifest-format json has them`);
}
