export { shareServers as default } from '../../gateway/testing/shared-servers.ts';
