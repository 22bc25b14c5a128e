//! Whether the root can hold studies, and whether the record in it can be used.

use super::{Report, Verdict};
use crate::{
    daemon::remedy,
    domain::layout::Layout,
    store::{Store, StoreError},
};
use nix::unistd::{AccessFlags, access};
use std::{fs, io, path::Path};

/// Whether the record can live where the root is.
pub(super) fn root(report: &mut Report, root: &Path, on_cluster: bool) {
    let there = root.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    if let Err(why) = writable(there) {
        return report.add(Verdict::Problem, "root", format!("{}: {why}", there.display()));
    }
    match nix::sys::statfs::statfs(there) {
        Ok(found) => match file_system(found.filesystem_type().0) {
            Some(name) => {
                let text = format!(
                    "{} is on {name}: one daemon, always on the same node; not daemon.sh, nor scrontab without a fixed node",
                    root.display()
                );
                report.add(Verdict::Note, "root", text);
            }
            None if on_cluster => {
                let text =
                    format!("{}: a local file system; the nodes must see the same files", root.display());
                report.add(Verdict::Note, "root", text);
            }
            None => report.add(Verdict::Ok, "root", root.display().to_string()),
        },
        Err(error) => report.add(Verdict::Problem, "root", format!("{}: {error}", there.display())),
    }
}

fn writable(folder: &Path) -> Result<(), String> {
    if !folder.is_dir() {
        return Err("is no folder; choose another root with --root DIR or LC_ROOT".to_owned());
    }
    access(folder, AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK)
        .map_err(|error| format!("{}; choose a root that you may write to", error.desc()))
}

/// File systems shared over a network, by their magic numbers.
const fn file_system(magic: i64) -> Option<&'static str> {
    match magic {
        0x6969 => Some("NFS"),
        0x0BD0_0BD0 => Some("Lustre"),
        0x4750_4653 => Some("GPFS"),
        0x1983_0326 => Some("BeeGFS"),
        0x00C3_6400 => Some("Ceph"),
        0xFF53_4D42 | 0xFE53_4D42 => Some("CIFS"),
        0x6573_5546 => Some("FUSE"),
        _ => None,
    }
}

/// Whether a record that no daemon uses can be opened. A copy of it is: opening the record itself may change it, and
/// where a daemon on another machine writes it, harm it.
pub(super) async fn record(report: &mut Report, root: &Path) {
    let layout = Layout::new(root);
    let file = layout.database();
    if !file.exists() {
        return;
    }
    let copied = tempfile::tempdir().and_then(|copy| {
        let of_copy = Layout::new(copy.path());
        copy_record(&file, &of_copy.database())?;
        Ok((copy, of_copy))
    });
    let (copy, of_copy) = match copied {
        Ok(copied) => copied,
        Err(error) => {
            let text = format!("{}: could not be copied for a look at it: {error}", file.display());
            return report.add(Verdict::Note, "record", text);
        }
    };
    let opened = async {
        let store = Store::open(&of_copy).await?;
        let studies = store.study_names().await;
        store.close().await;
        studies
    };
    match opened.await {
        Ok(studies) => {
            let studies = studies.len();
            let s = if studies == 1 { "study" } else { "studies" };
            report.add(Verdict::Ok, "record", format!("{}: {studies} {s}", file.display()));
        }
        Err(error) => {
            let error = match error {
                StoreError::Newer { version, .. } => StoreError::Newer { file, version },
                StoreError::Unusable { source, .. } => StoreError::Unusable { file, source },
                other => other,
            };
            let line = format!("{error}{}", remedy(&error)).replace('\n', "; ");
            report.add(Verdict::Problem, "record", line);
        }
    }
    drop(copy);
}

/// The record, and what was written to it since it was last folded into one file.
fn copy_record(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    let log = from.with_extension("sqlite-wal");
    if log.exists() {
        fs::copy(log, to.with_extension("sqlite-wal"))?;
    }
    Ok(())
}
