// Adds to package-lock.json the optional packages of other platforms that a registry mirror does not hold: without
// their entries `npm ci` refuses the lock. Run after every change of dependencies: npm run lock:complete
import { readFileSync, writeFileSync } from "node:fs";

const path = new URL("../package-lock.json", import.meta.url);
const lock = JSON.parse(readFileSync(path, "utf8"));

/** An entry as npm would write it, from a name such as "@oxlint/binding-linux-arm64-musl". */
function entryOf(name, version) {
  const [os, cpu, abi] = name.split("/").at(-1).replace("binding-", "").split("-");
  const libc = os === "linux" && abi ? { libc: [abi.startsWith("musl") ? "musl" : "glibc"] } : {};
  return { version, cpu: [cpu], dev: true, ...libc, optional: true, os: [os] };
}

for (const { optionalDependencies = {} } of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    lock.packages[`node_modules/${name}`] ??= entryOf(name, version);
  }
}
const sorted = Object.keys(lock.packages).sort((one, other) => (one < other ? -1 : 1));
lock.packages = Object.fromEntries(sorted.map((name) => [name, lock.packages[name]]));
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
