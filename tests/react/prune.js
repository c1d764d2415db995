/** Keeps, of the declarations that the compiler wrote, those that a user of the package reaches. */

import { readFileSync, readdirSync, rmSync } from "node:fs";

const reached = new Set();

function reach(name) {
  if (reached.has(name)) return;
  reached.add(name);
  const text = readFileSync(`types/${name}`, "utf8");
  for (const [, module] of text.matchAll(/"\.\/([\w-]+)\.js"/g)) reach(`${module}.d.ts`);
}

reach("pulsewire.d.ts");
reach("react.d.ts");
for (const name of readdirSync("types")) if (!reached.has(name)) rmSync(`types/${name}`);
