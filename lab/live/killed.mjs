/** killed: a repair of a live file that ends between its durable intent and its first write. Arguments: the file, the donor, and an offset that is bad. */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const [path, donor] = process.argv.slice(2);
const write = fs.writeSync;
fs.writeSync = (fd, ...rest) => {
  // Whole pages go to the file alone.
  const isData = fs.readlinkSync(`/proc/self/fd/${fd}`) === path && rest[2] % 4096 === 0;
  if (isData) process.kill(process.pid, "SIGKILL");
  return write(fd, ...rest);
};
syncBuiltinESMExports();
const { openDonors, openTarget, repair, RepairLog } = await import("/theriac/dist/rescue/index.js");
const { nodeFiles } = await import("/theriac/dist/os/index.js");
const target = await openTarget(path, { access: "write" });
const log = new RepairLog(path, nodeFiles, target.live.statePath);
await repair({ target, donors: await openDonors([donor], { target: path }), log });
console.log("was not killed");
