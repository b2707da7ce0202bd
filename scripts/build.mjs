// Builds dist/: the layers as modules, the program as a few bundled files (a command then loads ten files and not two
// hundred) with caches of their compiled code, and node_modules/.bin/theriac in the clone itself, which npm makes only where a
// package is a dependency.
//
// The program is bundled as CommonJS, which Node loads on the spot: modules are resolved, read and linked in turns, which
// took a quarter of what a command needs beside Node's own start. No module of ours does anything but define when it is
// loaded, so a command leaves out those that it does not use. Names stay, because a bug is reported with the lines of its
// stack.
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { rolldown } from "rolldown";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");
const bundled = join(dist, `.cli-${process.pid}`);

// The compiler writes modules where the bundle was: what says that those files are CommonJS must not outlive a build that fails.
rmSync(join(dist, "cli/package.json"), { force: true });
execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.build.json"], {
  cwd: root,
  stdio: "inherit",
});

/** Bundles files of dist/cli that the program starts with, by the names that they get, and all that they import. */
async function bundle(input, external = []) {
  const starts = Object.values(input);
  const made = await rolldown({
    input,
    platform: "node",
    external: [/^node:/, "commander", "koffi", "zod", ...external],
    treeshake: { moduleSideEffects: (id) => starts.includes(id) },
  });
  await made.write({
    dir: bundled,
    format: "cjs",
    entryFileNames: "[name].js",
    chunkFileNames: "chunks/[name]-[hash].js",
    // what V8 compiled and cached does not know how to import
    dynamicImportInCjs: false,
    minify: {
      mangle: { keepNames: true },
      compress: { keepNames: { function: true, class: true } },
      codegen: true,
    },
  });
  await made.close();
}

/** Writes a file in ASCII: what is not stands in texts alone, and a character is then a byte in memory too. */
function escapeText(path) {
  const text = readFileSync(path, "utf8");
  const escaped = text.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
  writeFileSync(path, escaped);
}

await bundle({ program: join(dist, "cli/main.js") });
await bundle({ "chunk-loader": join(dist, "cli/chunk-loader.js") });
await bundle({ main: join(dist, "cli/launch.js") }, ["./chunk-loader.js"]);
for (const name of readdirSync(bundled, { recursive: true, encoding: "utf8" }))
  if (name.endsWith(".js")) escapeText(join(bundled, name));
writeFileSync(join(bundled, "package.json"), `${JSON.stringify({ type: "commonjs" })}\n`);
rmSync(join(dist, "cli"), { recursive: true, force: true });
renameSync(bundled, join(dist, "cli"));
chmodSync(join(dist, "cli/main.js"), 0o755);
execFileSync(process.execPath, [join(root, "scripts/code-cache.mjs")], { stdio: ["ignore", "ignore", "inherit"] });

const modules = join(root, "node_modules");
if (existsSync(modules)) {
  mkdirSync(join(modules, ".bin"), { recursive: true });
  rmSync(join(modules, ".bin/theriac"), { force: true });
  symlinkSync("../../dist/cli/main.js", join(modules, ".bin/theriac"));
}
