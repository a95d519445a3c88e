// renditions.toml, as the stack reads it. ARNs are those of keys in the destination bucket.
//   keys             what the function may write: renditions, manifests, recipes, and records of rejected sources
//   tagged           what it may tag: renditions with tags or with {hash} in their key, whose manifests then too
//   readable         what a distribution may read: renditions, manifests, and records of rejected sources
//   copies           byte-for-byte copies, which have everything of the upload
//   hidden           what no distribution may read, although a pattern of `readable` matches it
//   removes, events  whether on_source_delete = "remove" and events = true
//   supersededDays   how long replaced renditions with {hash} in their key still exist
'use strict';

const fs = require('fs');
const path = require('path');
const { parse } = require('smol-toml');

module.exports = async ({ resolveVariable }) => {
  const text = fs.readFileSync(path.join(__dirname, '..', 'renditions.toml'), 'utf8');
  const { renditions, manifest = true, ...settings } = parse(text);
  const bucket = { Bucket: { 'Fn::Sub': await resolveVariable('self:custom.destinationBucket') } };
  const arns = (patterns) =>
    [...new Set(patterns)].map((pattern) => ({ 'Fn::Sub': ['arn:${AWS::Partition}:s3:::${Bucket}/' + pattern, bucket] }));
  const specs = Object.entries(renditions).map(([name, spec]) => ({ name, ...spec, key: template(spec) }));
  const copies = specs.filter(isCopy);
  const scaled = specs.filter((spec) => !isCopy(spec));
  const hasVersions = specs.some(({ key }) => key.includes('{hash}'));
  const tagged = specs.filter(({ key, tags }) => tags || key.includes('{hash}'));
  const manifests = manifest ? ['manifests/*'] : [];
  return {
    keys: arns([...specs.map(broadPattern), ...manifests, 'recipes/*', 'rejected/*']),
    tagged: arns([...tagged.map(broadPattern), ...(hasVersions ? manifests : [])]),
    readable: arns([...scaled.flatMap(exactPatterns), ...manifests, 'rejected/*']),
    copies: arns(copies.flatMap(exactPatterns)),
    hidden: arns(scaled.flatMap(exactPatterns).some((pattern) => pattern.startsWith('*')) ? ['recipes/*'] : []),
    removes: settings.on_source_delete === 'remove',
    events: settings.events === true,
    supersededDays: settings.superseded_days ?? 30,
  };
};

const template = ({ key, widths }) => key ?? (widths ? '{name}-{width}/{key}' : '{name}/{key}');

// No size, no format and nothing else that needs one.
const isCopy = (spec) => Object.keys(spec).every((field) => ['name', 'key', 'tags'].includes(field));

// One pattern for all widths and formats, since the policies of a role have 10,240 characters together.
function broadPattern({ name, key }) {
  const withFolders = key.replaceAll('{name}', name).replaceAll('{dir}', '*');
  return withFolders.replaceAll(/\{\w+\}.*?(?=\/|$)/g, '*').replaceAll('**', '*');
}

// A pattern for each width and format: a broad one could match a copy, or recipes/. One that begins with a part of the
// source's key could too, for which `hidden` is denied.
function exactPatterns({ name, key, width, widths = [width], format, formats = [format] }) {
  return widths.flatMap((width) =>
    formats.map((format) => {
      const source = { key: '*', dir: '*', stem: '*', source_ext: '*' };
      const values = { name, width, ...source, hash: '?'.repeat(16), ...names(format) };
      return key.replaceAll(/\{(\w+)\}/g, (_, field) => values[field]).replaceAll(/\*+/g, '*');
    }),
  );
}

function names(format) {
  return ['jpg', 'jpeg'].includes(format) ? { format: 'jpeg', ext: 'jpg' } : { format, ext: format };
}
