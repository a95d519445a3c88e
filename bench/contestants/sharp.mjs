// sharp with its defaults. The first argument is `sequential` or `parallel`.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";

const [mode, source, format, widths, out] = process.argv.slice(2);

async function ladder() {
  const started = performance.now();
  const body = await readFile(source);
  const rendition = (width) =>
    sharp(body, { animated: true })
      .autoOrient()
      .resize({ width, withoutEnlargement: true })
      [format]()
      .toBuffer();
  const sizes = widths.split(",").map(Number);
  let renditions;
  if (mode === "parallel") {
    renditions = await Promise.all(sizes.map(rendition));
  } else {
    renditions = [];
    for (const width of sizes) renditions.push(await rendition(width));
  }
  const wall = performance.now() - started;
  for (const [index, width] of sizes.entries()) await writeFile(join(out, `${width}.${format}`), renditions[index]);
  process.stdout.write(JSON.stringify({ wall_ms: wall }));
}

if (source !== "-") await ladder();
