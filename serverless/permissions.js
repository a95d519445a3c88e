// What the function may do in the destination bucket, from renditions.toml, so that a change there needs no edit here:
//   keys      key patterns: one for each rendition, for the manifests, for recipes and for records of rejected sources
//   actions   no deletion, unless renditions are removed with their source
'use strict';

const renditions = require('./renditions.js');

const patterns = (specs) =>
  specs.map(([name, spec]) =>
    (spec.key || (spec.widths ? '{name}-{width}/{key}' : '{name}/{key}'))
      .replaceAll('{name}', name)
      .replaceAll(/\{\w+\}.*?(?=\/|$)/g, '*'),
  );

const arns = (bucket, keys) =>
  [...new Set(keys)].map((pattern) => ({
    'Fn::Sub': [
      'arn:${AWS::Partition}:s3:::${Bucket}/' + pattern,
      { Bucket: { 'Fn::Sub': bucket } },
    ],
  }));

module.exports = async ({ resolveVariable }) => {
  const bucket = await resolveVariable('self:custom.destinationBucket');
  const { renditions: specs, on_source_delete: onSourceDelete, manifest = true } = renditions();
  return {
    keys: arns(bucket, [...patterns(Object.entries(specs)), ...(manifest ? ['manifests/*'] : []), 'recipes/*', 'rejected/*']),
    actions: [
      's3:PutObject',
      's3:GetObject',
      's3:AbortMultipartUpload',
      ...(onSourceDelete === 'remove' ? ['s3:DeleteObject'] : []),
    ],
  };
};

Object.assign(module.exports, { arns, patterns });
