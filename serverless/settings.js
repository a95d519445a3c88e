// What this deployment is told, as JSON: each parameter that has a value, and a hash of renditions.toml. It is an output
// of the stack, so that `image-scaler check` can say what the next deployment would change.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const path = require('path');

const ROOT = path.join(__dirname, '..');

module.exports = async ({ resolveVariable }) => {
  const files = [path.join(ROOT, 'serverless.yml'), ...fs.readdirSync(__dirname).map((name) => path.join(__dirname, name))];
  const names = files.flatMap((file) =>
    [...fs.readFileSync(file, 'utf8').matchAll(/\bparam:([a-z]\w+)/gi)].map((match) => match[1]),
  );
  const settings = {};
  for (const name of [...new Set(names)].sort()) {
    const value = await resolveVariable(`param:${name}, null`);
    if (value !== null) {
      settings[name] = String(value);
    }
  }
  const renditions = fs.readFileSync(path.join(ROOT, 'renditions.toml'));
  settings['renditions.toml'] = crypto.createHash('sha256').update(renditions).digest('hex').slice(0, 16);
  return JSON.stringify(settings);
};
