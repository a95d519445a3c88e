// renditions.toml, as the stack reads it.
'use strict';

const fs = require('fs');
const path = require('path');
const { parse } = require('smol-toml');

module.exports = () => parse(fs.readFileSync(path.join(__dirname, '..', 'renditions.toml'), 'utf8'));
