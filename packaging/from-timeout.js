// What the stack takes from the parameter `timeout`; neither sls nor CloudFormation can multiply.
//   nearlyOver   90 % of it, in milliseconds, from which on there is an alarm
'use strict';

module.exports = async ({ resolveVariable }) => ({
  nearlyOver: Number(await resolveVariable('param:timeout')) * 900,
});
