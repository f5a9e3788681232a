//! `podssh connect`: an ssh ProxyCommand. Standard output carries tunnel bytes only.
//! stub
use crate::cli::ConnectArgs;
/// x
pub fn run(_args: &ConnectArgs) -> u8 {
    69
}
