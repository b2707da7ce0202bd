/** lease: a live file is opened for repair, another program wants it, and nothing is written any more. Arguments: the file, and an offset that is bad. */
import { closeSync, constants, openSync } from "node:fs";

const { openTarget } = await import("/theriac/dist/rescue/index.js");
const [path, at] = [process.argv[2], Number(process.argv[3])];
const target = await openTarget(path, { access: "write" });
console.log(`bad ${[...target.device.poison.bad({ offset: at, length: 4096 })].length}`);
try {
  closeSync(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK));
  console.log("opened");
} catch (error) {
  console.log(error.code);
}
try {
  target.device.heal([{ offset: at, data: new Uint8Array(4096) }]);
  console.log("healed");
} catch (error) {
  console.log(error.code);
}
try {
  await target.close();
} catch (error) {
  console.log(`close ${error.code}`);
}
