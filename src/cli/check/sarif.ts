/** Findings as SARIF 2.1.0, which code hosts show beside the lines. */
import { relative } from "node:path"
import type { Finding } from "./findings.ts"
import { describedAs } from "./rules.ts"

export const sarif = (findings: ReadonlyArray<Finding>, version: string): object => ({
  $schema: "https://json.schemastore.org/sarif-2.1.0.json",
  version: "2.1.0",
  runs: [{
    tool: {
      driver: {
        name: "heddle",
        version,
        rules: [...new Set(findings.map(({ rule }) => rule))].sort().map((id) => ({ id, shortDescription: { text: describedAs(id) } })),
      },
    },
    results: findings.map(({ file, line, column, level, rule, message }) => ({
      ruleId: rule,
      level,
      message: { text: message },
      locations: [{
        physicalLocation: {
          artifactLocation: { uri: relative(process.cwd(), file).split("/").map(encodeURIComponent).join("/") },
          region: { startLine: line, startColumn: column },
        },
      }],
    })),
  }],
})
