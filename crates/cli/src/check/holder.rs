//! Who listens on a port, as far as Linux's `/proc` tells: processes of other users it tells only
//! to root.

use std::fs;
use std::path::Path;

/// A listening socket's state in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// Program and process of who listens on `port`; `None` when that is not to be known.
pub(super) fn of_port(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let sockets: Vec<String> = tables
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listening(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = fs::read_dir("/proc").ok()?;
    processes.filter_map(Result::ok).find_map(|process| {
        let folder = process.path();
        let pid = folder.file_name()?.to_str()?;
        let is_process = pid.bytes().all(|b| b.is_ascii_digit());
        if !is_process || !has_open(&folder, &sockets) {
            return None;
        }
        let name = fs::read_to_string(folder.join("comm")).ok()?;
        Some(format!("{} (process {pid})", name.trim()))
    })
}

/// The inodes of the sockets that listen on `port`, in a table such as `/proc/net/tcp`.
fn listening(table: &str, port: u16) -> Vec<String> {
    let suffix = format!(":{port:04X}");
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (local, _remote, state) = (fields.next()?, fields.next()?, fields.next()?);
            let inode = fields.nth(5)?;
            (local.ends_with(&suffix) && state == LISTEN).then(|| inode.to_owned())
        })
        .collect()
}

/// Whether a process has one of these open.
fn has_open(process: &Path, sockets: &[String]) -> bool {
    let Ok(files) = fs::read_dir(process.join("fd")) else {
        return false;
    };
    files
        .filter_map(|file| fs::read_link(file.ok()?.path()).ok())
        .any(|target| {
            sockets
                .iter()
                .any(|socket| target.as_os_str() == socket.as_str())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 10941 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1388 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 10999 1 0000000000000000 100 0 0 10 0
   2: 0100007F:1B58 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 10777 1 0000000000000000 100 0 0 10 0
";

    #[test]
    fn only_listening_sockets_of_the_port_count() {
        assert_eq!(listening(TABLE, 5000), ["10941"]);
        assert_eq!(listening(TABLE, 7000), ["10777"]);
        assert!(listening(TABLE, 50000).is_empty());
    }

    #[test]
    fn a_listener_of_this_process_is_found_by_its_port() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let holder = of_port(port).expect("this process may look at itself");
        assert!(
            holder.ends_with(&format!("(process {})", std::process::id())),
            "{holder}"
        );
    }
}
