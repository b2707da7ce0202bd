/** theriac digest: takes the digests of a tree at backup time, so that a later repair is proven. */
import { open, rename, rm } from "node:fs/promises";
import type { Command } from "commander";
import { formatSize, toStorageError } from "../../base/index.ts";
import { BLOCK_HASH_BYTES, digestTree, type DigestResult } from "../../donor/index.ts";
import { checkReplaceable } from "../replaceable.ts";
import type { CommandContext, CommandModule, CommandResult } from "../command.ts";

interface Options {
  readonly output?: string;
}

/** The verb. */
export const digest: CommandModule<Options> = {
  configure(command: Command) {
    command
      .argument("<tree>", "the directory")
      .option(
        "-o, --output <file>",
        "where the digest goes; TREE/.theriac-digest.json is found by repair (default: stdout)",
      );
  },
  async run(context, { args: [tree = ""], options: { output } }) {
    if (output === undefined)
      return context.json ? await collected(context, tree) : streamed(context, tree);
    const result = await toFile(context, tree, output);
    const text = `${result.files} files, ${formatSize(result.bytes)}, ${result.skipped} skipped: ${output}\n`;
    return {
      exitCode: result.skipped === 0 ? 0 : 3,
      document: { schema: "theriac.digest-result/1", tree, output, ...result },
      text: () => text,
    };
  },
};

function take(context: CommandContext, tree: string): AsyncGenerator<string, DigestResult> {
  return digestTree(tree, {
    onSkip: (path, why) => context.warn(`${path}: ${why}`),
    onProgress: ({ bytes }) => context.progress.report({ phase: "reading", done: bytes, total: 0 }),
    checkpoint: () => context.checkpoint(),
  });
}

/** The digest as the text of the command; how it ends is known when all of it is printed. */
function streamed(context: CommandContext, tree: string): CommandResult {
  let skipped = 0;
  async function* pieces(): AsyncGenerator<string> {
    const generator = take(context, tree);
    for (let next = await generator.next(); ; next = await generator.next()) {
      if (next.done === true) {
        skipped = next.value.skipped;
        return;
      }
      yield next.value;
    }
  }
  return {
    get exitCode(): 0 | 3 {
      return skipped === 0 ? 0 : 3;
    },
    document: { schema: "theriac.digest/1" },
    text: pieces,
  };
}

/** The digest as the document of the command: all of it in memory, because --json prints one document or a failure. */
async function collected(context: CommandContext, tree: string): Promise<CommandResult> {
  let text = "";
  const generator = take(context, tree);
  let next = await generator.next();
  for (; next.done !== true; next = await generator.next()) text += next.value;
  const { files } = JSON.parse(text) as { files: unknown[] };
  return {
    exitCode: next.value.skipped === 0 ? 0 : 3,
    document: {
      schema: "theriac.digest/1",
      algorithm: "sha256",
      blockBytes: BLOCK_HASH_BYTES,
      files,
    },
    text: () => text,
  };
}

/** Writes under another name first: an interrupted digest must not look like a whole one. */
async function toFile(
  context: CommandContext,
  tree: string,
  output: string,
): Promise<DigestResult> {
  checkReplaceable(output, "theriac.digest/1");
  const temporary = `${output}.new`;
  const fail = (error: unknown): never => {
    throw toStorageError(error, { path: output, syscall: "write" });
  };
  const handle = await open(temporary, "w").catch(fail);
  try {
    const generator = take(context, tree);
    let next = await generator.next();
    for (; next.done !== true; next = await generator.next()) await handle.appendFile(next.value);
    await handle.sync();
    await handle.close();
    await rename(temporary, output);
    return next.value;
  } catch (error) {
    await handle.close().catch(() => undefined);
    await rm(temporary, { force: true });
    return fail(error);
  }
}
