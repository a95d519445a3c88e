// The region, as the AWS CLI finds it: AWS_REGION, AWS_DEFAULT_REGION, that of the AWS profile; else us-east-1, with a
// note. toolbox/aws/session.py does the same for the other commands.
'use strict';

const { loadSharedConfigFiles } = require('@smithy/core/config');

const { AWS_REGION, AWS_DEFAULT_REGION, AWS_PROFILE, AWS_DEFAULT_PROFILE } = process.env;

module.exports = async ({ options }) => {
  const profile = options['aws-profile'] ?? AWS_PROFILE ?? AWS_DEFAULT_PROFILE;
  const region = AWS_REGION || AWS_DEFAULT_REGION || (await regionOfProfile(profile));
  if (!region) {
    process.stderr.write('Note: no AWS region is set: using us-east-1. Set AWS_REGION, or pass --region.\n');
  }
  return region || 'us-east-1';
};

async function regionOfProfile(given) {
  const name = given ?? 'default';
  const { configFile, credentialsFile } = await loadSharedConfigFiles();
  if (given !== undefined && !(name in configFile) && !(name in credentialsFile)) {
    throw new Error(`the AWS profile ${name} does not exist`);
  }
  return { ...configFile[name], ...credentialsFile[name] }.region;
}
