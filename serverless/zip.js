// A plugin: compress the package with zlib. serverless-python-requirements compresses it with JSZip, in JavaScript, which
// takes 12 s; zlib takes 5, for 2 % more bytes.
'use strict';

const JSZip = require('jszip');
const yazl = require('yazl');

// The first time that a zip can have. Zips have local times, so this one is the same in every time zone.
const TIME = { mtime: new Date(1980, 0, 1), forceDosTimestamp: true };

// Level 9 takes half as long again for 0.1 % less.
let compressionLevel = 7;

JSZip.prototype.generateNodeStream = function generateNodeStream() {
  const zip = new yazl.ZipFile();
  addFiles(this, zip).then(
    () => zip.end(),
    (error) => zip.outputStream.destroy(error),
  );
  return zip.outputStream;
};

async function addFiles(source, zip) {
  for (const [name, file] of Object.entries(source.files).sort()) {
    if (!file.dir) {
      zip.addBuffer(await file.async('nodebuffer'), name, { mode: file.unixPermissions, compressionLevel, ...TIME });
    }
  }
}

module.exports = class Zip {
  constructor(serverless, options) {
    if (options.stage === 'local') compressionLevel = 1; // nothing is uploaded: 1 s, for 10 % more bytes
  }
};
