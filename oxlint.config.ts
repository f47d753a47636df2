import { defineConfig } from "oxlint"
import { below, layers } from "./layers.mjs"

const folder = (layer: string): string => layer.split("/")[1] ?? layer

export default defineConfig({
  plugins: ["typescript", "import", "oxc", "unicorn", "node"],
  categories: { correctness: "error", suspicious: "error", perf: "error" },
  options: { typeAware: true, denyWarnings: true, reportUnusedDisableDirectives: "off" },
  ignorePatterns: ["dist", "coverage", "bench/node_modules", "test/types/mistakes.ts", "test/types/cost/generated"],
  rules: {
    "import/no-cycle": ["error", { ignoreTypes: true }],
    "import/max-dependencies": "off",
    "max-lines": ["error", { max: 300, skipComments: true, skipBlankLines: true }],
    "typescript/no-floating-promises": "error",
    "typescript/consistent-type-imports": "error",
    "unicorn/filename-case": ["error", { case: "kebabCase" }],
    // a step after the other is what this project is about
    "no-await-in-loop": "off",
    // types of flows are compared, not run: their classes and parameters stand for themselves
    "no-shadow": "off",
    "typescript/no-unsafe-type-assertion": "off",
    "typescript/no-unnecessary-type-parameters": "off",
    "unicorn/no-array-sort": "off",
    "unicorn/no-array-callback-reference": "off",
    "unicorn/consistent-function-scoping": "off",
    "unicorn/prefer-add-event-listener": "off",
    "typescript/no-unsafe-argument": "off",
    "typescript/no-unsafe-assignment": "off",
    "typescript/no-unsafe-return": "off",
    "typescript/no-unsafe-call": "off",
    "typescript/no-unsafe-member-access": "off",
    "no-underscore-dangle": "off",
    "typescript/consistent-return": "off",
    "typescript/no-unnecessary-type-arguments": "off",
    "typescript/no-unnecessary-condition": "off",
    "require-yield": "off",
    "typescript/no-misused-spread": "off",
    "oxc/no-map-spread": "off",
    "typescript/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
    "typescript/no-unnecessary-type-assertion": "off",
  },
  overrides: [
    ...layers.map((layer) => ({
      files: [`${layer}/**`],
      rules: {
        "no-restricted-imports": ["error", {
          patterns: [
            ...(below(layer).length === 0 ?
              [] :
              [{ regex: `/(${below(layer).map(folder).join("|")})/`, message: `${layer} stands above that folder: see docs/architecture.md` }]),
            ...(layer.startsWith("dsl") ? [{ regex: "/src/", message: "dsl knows nothing of the engine" }] : []),
            { regex: "^effect$", message: "import effect/Module: the barrel loads everything" },
          ],
        }] as const,
      },
    })),
    {
      files: ["test/**", "examples/**", "bench/**", "scripts/**"],
      rules: {
        "max-lines": "off",
        "typescript/no-explicit-any": "off",
        "typescript/no-unsafe-type-assertion": "off",
        "typescript/require-await": "off",
        "typescript/no-floating-promises": "off",
        "typescript/only-throw-error": "off",
        "typescript/prefer-promise-reject-errors": "off",
        "typescript/unbound-method": "off",
        "no-unused-vars": "off",
        "no-empty-pattern": "off",
        "unicorn/no-useless-undefined": "off",
        "no-sparse-arrays": "off",
        "unicorn/no-useless-spread": "off",
        "oxc/no-map-spread": "off",
        "typescript/no-base-to-string": "off",
        "typescript/no-useless-default-assignment": "off",
        "typescript/restrict-template-expressions": "off",
        "typescript/no-unsafe-enum-comparison": "off",
        "unicorn/no-thenable": "off",
        "typescript/await-thenable": "off",
        "typescript/require-array-sort-compare": "off",
        "import/no-named-as-default-member": "off",
        "typescript/no-extraneous-class": "off",
        "typescript/consistent-type-imports": "off",
        "unicorn/prefer-array-find": "off",
        "typescript/no-unnecessary-type-assertion": "off",
        "typescript/no-unnecessary-template-expression": "off",
      },
    },
  ],
})
