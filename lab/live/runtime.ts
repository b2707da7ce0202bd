/** runtime: a disk for the guest that holds Node, the libraries it needs, and the built project with what it depends on; and a boot with it. */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** Folders that the guest puts its own in the place of. */
const MOUNTED = ["dev", "proc", "sys", "tmp", "shared"];

/**
 * Makes the image of a disk.
 *
 * @param project the built project
 * @param image where the image is made
 * @param programs absolute paths of more programs
 */
export function makeRuntime(
  project: string,
  image: string,
  programs: readonly string[] = [],
): void {
  const root = mkdtempSync(`${image}-`);
  try {
    for (const folder of ["bin", ...MOUNTED]) mkdirSync(join(root, folder));
    for (const [name, program] of [
      ["node", process.execPath] as const,
      ...programs.map((path) => [basename(path), path] as const),
    ]) {
      cpSync(program, join(root, "bin", name), { dereference: true });
      for (const library of librariesOf(program)) copyTo(root, library, library);
    }
    copyTo(root, join(project, "dist"), "/theriac/dist");
    copyTo(root, join(project, "package.json"), "/theriac/package.json");
    for (const name of packagesOf(project))
      copyTo(root, join(project, "node_modules", name), `/theriac/node_modules/${name}`);
    const options = ["-q", "-t", "ext4", "-b", "4096", "-O", "^has_journal", "-d", root];
    execFileSync("mke2fs", [...options, image, "256M"], { stdio: "pipe" });
  } finally {
    rmSync(root, { recursive: true });
  }
}

/** Where a script of the guest runs. */
export interface RuntimePlace {
  /** The project's root. */
  readonly root: string;
  /** Folder that the guest sees as /shared. */
  readonly shared: string;
  /** What `makeRuntime` made. */
  readonly disk: string;
  /** Seconds after which the guest is ended, unless TIMEOUT says other. @default 600 */
  readonly limitSeconds?: number;
}

/** Boots once, and runs a script that begins with `prelude.sh`. @param script below the lab's folder. @throws {Error} where it failed */
export function bootRuntime(script: string, place: RuntimePlace): void {
  const { root, shared, disk, limitSeconds = 600 } = place;
  cpSync(join(root, "lab/live/prelude.sh"), join(shared, "prelude.sh"));
  execFileSync(join(root, "lab/boot.sh"), [join(root, "lab", script), shared], {
    env: { TIMEOUT: String(limitSeconds), ...process.env, DISKS: disk },
    stdio: ["ignore", "inherit", "inherit"],
  });
}

function copyTo(root: string, from: string, path: string): void {
  mkdirSync(join(root, dirname(path)), { recursive: true });
  cpSync(from, join(root, path), { recursive: true, dereference: true });
}

/** Shared libraries of a program, and the loader, by their absolute paths. */
function librariesOf(program: string): readonly string[] {
  const text = execFileSync("ldd", [program], { encoding: "utf8" });
  return [...text.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map((match) => match[1] as string);
}

/** What the project needs at run time; the library's prebuilt part is a package of its own. */
function packagesOf(project: string): readonly string[] {
  const { dependencies } = JSON.parse(readFileSync(join(project, "package.json"), "utf8")) as {
    readonly dependencies: Readonly<Record<string, string>>;
  };
  return [...Object.keys(dependencies), "@koromix"];
}
