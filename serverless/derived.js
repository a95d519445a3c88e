// What else the stack needs for this renditions.toml, so that a change there needs no edit here:
//   lifecycle   the rules of the destination bucket: one more if a key has {hash}, for replaced renditions
//   resources   a permission to tag such renditions, and one to send events if events = true
'use strict';

const permissions = require('./permissions.js');
const renditions = require('./renditions.js');

const policy = (name, statement) => ({
  Type: 'AWS::IAM::Policy',
  Properties: {
    PolicyName: name,
    Roles: [{ Ref: 'IamRoleLambdaExecution' }],
    PolicyDocument: { Version: '2012-10-17', Statement: [{ Effect: 'Allow', ...statement }] },
  },
});

module.exports = async ({ resolveVariable }) => {
  const { renditions: specs, superseded_days: supersededDays = 30, events = false } = renditions();
  const bucket = await resolveVariable('self:custom.destinationBucket');
  const hashed = Object.entries(specs).filter(([, spec]) => spec.key?.includes('{hash}'));
  const superseded = {
    Id: 'drop-superseded-renditions',
    Status: 'Enabled',
    TagFilters: [{ Key: 'superseded', Value: 'true' }],
    ExpirationInDays: supersededDays,
  };
  const { Rules: rules } = await resolveVariable('file(serverless/buckets.yml):hardened.LifecycleConfiguration');
  return {
    lifecycle: { Rules: [...rules, ...(hashed.length ? [superseded] : [])] },
    resources: {
      Resources: {
        ...(hashed.length && {
          VersionsPolicy: policy('versions', {
            Action: 's3:PutObjectTagging',
            Resource: permissions.arns(bucket, permissions.patterns(hashed)),
          }),
        }),
        ...(events && {
          EventsPolicy: policy('events', {
            Action: 'events:PutEvents',
            Resource: { 'Fn::Sub': 'arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/default' },
          }),
        }),
      },
    },
  };
};
