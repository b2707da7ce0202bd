/** theriac demo: the whole chain on a real image, with the very commands that a person would type. */
import { execFile } from "node:child_process";
import { appendFileSync, copyFileSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Option, type Command } from "commander";
import { formatSize } from "../../base/index.ts";
import { openTarget } from "../../rescue/index.ts";
import { integerArgument } from "../arguments.ts";
import type { CommandContext, CommandModule, ExitCode } from "../command.ts";
import { makeImage } from "../demo/demo-image.ts";
import { DEMO_FILESYSTEMS, DEMO_MAKERS, type DemoFilesystem } from "../demo/demo-makers.ts";
import { administratorsProgram } from "../demo/administrators-program.ts";
import { choosePlaces, type DemoPlace } from "../demo/demo-places.ts";
import { findTree } from "../demo/demo-tree.ts";
import { packageRoot } from "../package-root.ts";

/** Options of the command. */
interface DemoOptions {
  readonly fs: DemoFilesystem;
  readonly seed: number;
  readonly keep: boolean;
}

/** What a step of the story left behind. */
interface Story {
  readonly context: CommandContext;
  readonly folder: string;
  exitCode: ExitCode;
  verified: boolean;
}

/** The command. */
export const demo: CommandModule<DemoOptions> = {
  configure(command: Command) {
    command
      .addOption(
        new Option("--fs <name>", "which file system").choices(DEMO_FILESYSTEMS).default("ext4"),
      )
      .option("--seed <number>", "which places are poisoned", integerArgument, 2021)
      .option("--keep", "keep the images for a look of your own", false);
  },
  run(context, { options }) {
    const folder = mkdtempSync(join(tmpdir(), "theriac-demo-"));
    const story: Story = { context, folder, exitCode: 1, verified: false };
    const lines = tell(story, options);
    return Promise.resolve({
      get exitCode() {
        return story.exitCode;
      },
      document: { schema: "theriac.demo/1", story: lines },
      text: () => lines,
    });
  },
};

/** The story, a piece at a time. */
async function* tell(story: Story, options: DemoOptions): AsyncGenerator<string> {
  try {
    yield* prepare(story, options);
    yield* chapter(story, "1  Survey: which bytes of which files are gone?");
    yield* theriac(story, ["survey", "demo.img"], { lines: 58 });
    yield* chapter(story, "2  Salvage: every clean byte out, with a map of the rest");
    yield* theriac(story, ["salvage", "demo.img", "copy.img", "--map", "copy.map"]);
    yield* chapter(story, "3  Plan: what a repair from the backup would do");
    yield* theriac(story, ["plan", "demo.img", "--from", "backup", "-o", "plan.json"]);
    yield* chapter(story, "4  Repair: in place, exactly by the plan");
    yield* theriac(story, ["repair", "demo.img", "--apply", "plan.json"]);
    yield* chapter(story, "5  Verify: what is still missing is still said");
    yield* theriac(story, ["verify", "demo.img"]);
    yield* chapter(story, "6  The rest, from an image of the same generation");
    yield* theriac(story, ["repair", "demo.img", "--from", "before.img", "--free"]);
    yield* finish(story, options.fs);
  } finally {
    if (!options.keep) rmSync(story.folder, { recursive: true, force: true });
  }
  if (options.keep) yield `\nKept in ${story.folder}\n`;
}

function* chapter(story: Story, title: string): Generator<string> {
  yield `\n${story.context.style.bold(story.context.style.cyan(title))}\n`;
}

/** Runs one command as a person would, and shows it with what it printed. */
async function* theriac(
  story: Story,
  args: readonly string[],
  options: { readonly lines?: number } = {},
): AsyncGenerator<string> {
  await story.context.checkpoint();
  yield story.context.style.dim(`$ theriac ${args.join(" ")}\n`);
  const { status, text } = await runSelf(story, args);
  const lines = text.split("\n");
  const most = options.lines ?? 40;
  if (lines.length <= most) yield text;
  else {
    yield `${lines.slice(0, most - 14).join("\n")}\n`;
    yield story.context.style.dim(`  … ${lines.length - most} more lines …\n`);
    yield lines.slice(-14).join("\n");
  }
  yield story.context.style.dim(`exit ${status}\n`);
  story.exitCode = status === 0 || status === 1 ? status : 3;
  story.verified = status === 0;
}

function runSelf(story: Story, args: readonly string[]): Promise<{ status: number; text: string }> {
  const main = join(packageRoot(), "dist/cli/main.js");
  const color = story.context.style.bold("x") === "x" ? {} : { FORCE_COLOR: "1" };
  const env = { ...process.env, COLUMNS: "80", ...color };
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [main, ...args],
      { cwd: story.folder, env, maxBuffer: 1 << 26 },
      (error, stdout, stderr) => {
        resolve({ status: error === null ? 0 : Number(error.code ?? 3), text: stdout + stderr });
      },
    );
  });
}

/** Makes the image, keeps a copy of it, ages the backup, and poisons the image. */
async function* prepare(story: Story, options: DemoOptions): AsyncGenerator<string> {
  const { style } = story.context;
  yield `${style.bold("Theriac")}: from an I/O error to a healed file, on a real ${options.fs} image\n`;
  const tree = findTree();
  const { image, made } = await makeImage(story.folder, tree, options.fs);
  if (tree !== undefined)
    yield `\n${tree.files} files, ${formatSize(tree.bytes)}, of ${tree.path}\n`;
  yield `${style.dim(`$ ${made}`)}\n`;
  copyFileSync(image, join(story.folder, "before.img"));
  await runSelf(story, [
    "create",
    "demo.img",
    "--adopt",
    "--poison-unit",
    "64",
    "--clear-unit",
    "256",
  ]);
  const target = await openTarget(image);
  const map = target.volumes[0]?.map;
  if (map === undefined)
    throw new RangeError("Cannot open the image just made: want a file system");
  const places = await choosePlaces(map, options.seed);
  await target.close();
  await inject(story, places);
  ageBackup(story, places);
  const aims = [...new Set(places.map((place) => place.aim))];
  const counts = aims.map((aim) => `${aim} ${places.filter((place) => place.aim === aim).length}`);
  const bytes = places.reduce((sum, place) => sum + place.length, 0);
  yield `${formatSize(statSync(image).size)} image; poisoned ${places.length} places, ${bytes} bytes:\n  ${counts.join(" · ")}\n`;
  yield "The backup is not perfect: one file was edited since, one is gone from it.\n";
}

async function inject(story: Story, places: readonly DemoPlace[]): Promise<void> {
  const pairs = places.flatMap((place) => [
    "--at",
    String(place.offset),
    "--length",
    String(place.length),
  ]);
  const { status, text } = await runSelf(story, ["inject", "demo.img", ...pairs]);
  if (status !== 0) throw new RangeError(`Cannot poison the image: ${text}`);
}

/** Makes the backup what backups are: one damaged file was edited since, another is missing. */
function ageBackup(story: Story, places: readonly DemoPlace[]): void {
  const [edited, gone] = places.filter((place) => place.aim === "file data");
  if (edited !== undefined)
    appendFileSync(join(story.folder, "backup", edited.path), "edited since\n");
  if (gone !== undefined) rmSync(join(story.folder, "backup", gone.path), { force: true });
}

/** The proof: every file compared with its original, and the file system's own checker. */
async function* finish(story: Story, filesystem: DemoFilesystem): AsyncGenerator<string> {
  const { style } = story.context;
  yield* chapter(story, "7  Proof: every byte read again, every file compared with its original");
  yield* theriac(story, ["verify", "demo.img", "--against", "before.img"]);
  const { program, flags } = DEMO_MAKERS[filesystem].checker;
  const checked = await administratorsProgram(program, [flags, join(story.folder, "demo.img")]);
  yield style.dim(`$ ${program} ${flags} demo.img\n`);
  yield checked === undefined
    ? `${program} is not on this machine\n`
    : checked.text.replaceAll(`${story.folder}/`, "");
  if (checked !== undefined && checked.status !== 0) story.exitCode = 1;
}
