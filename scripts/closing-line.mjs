// The runner's closing line, for whoever reads only the last line of `npm test`.
import { readFileSync } from "node:fs"

const { numPassedTests, numFailedTests } = JSON.parse(readFileSync("coverage/results.json", "utf8"))
console.log(`${numPassedTests} passed, ${numFailedTests} failed`)
