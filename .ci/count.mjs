// Reads a test report and prints "PASSED FAILED"; a skipped test or a failed file counts as failed, and is named.
import { readFileSync } from "node:fs";

const report = JSON.parse(readFileSync(process.argv[2], "utf8"));
let passed = 0;
let failed = 0;
for (const file of report.testResults) {
  if (file.status === "failed" && file.assertionResults.length === 0) failed += 1;
  for (const result of file.assertionResults) {
    if (result.status === "passed") {
      passed += 1;
    } else {
      failed += 1;
      console.error(`${result.status}: ${file.name}: ${result.fullName}`);
    }
  }
}
console.log(passed, failed);
