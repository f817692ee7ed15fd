export { stopSharedServers as default } from '../../gateway/testing/shared-servers.ts';
