//! Datasets and tokenizers from the Hugging Face hub, downloaded once.
//!
//! | variable | meaning |
//! |---|---|
//! | `HF_ENDPOINT` | the hub; `https://huggingface.co` if not set |
//! | `HF_TOKEN` | sent as a bearer token, for private and gated repositories |
//! | `HF_HUB_OFFLINE` | `1`: download nothing, use only what was downloaded before |
//! | `HF_HOME` | downloads go to `lc` in it; without it to `lc/hub` in `XDG_CACHE_HOME` or `~/.cache` |
//!
//! What was downloaded is used again without asking the hub, so that the data of a study does not change
//! while it runs; to get a newer version, remove its folder from the cache. All files of a dataset are of the version
//! that the hub named first. A repository is downloaded by one process at a time; others wait for it.

use super::folder;
use crate::{Error, Result, data::lock::Lock, files, report::Report};
use serde::Deserialize;
use std::{
    env, fs,
    io::{self, Read, Write as _},
    path::{Component, Path, PathBuf},
    time::Duration,
};
use ureq::{
    Agent, Body,
    config::RedirectAuthHeaders,
    http::{Response, header},
};

/// Written last into the folder of a dataset.
const COMPLETE: &str = ".complete";
/// Which version of a dataset its folder has; the hub's commit.
const REVISION: &str = ".revision";

/// Where to download from and to.
#[derive(Clone, Debug)]
pub struct Hub {
    endpoint: String,
    token: Option<String>,
    offline: bool,
    cache: PathBuf,
}

/// The hub's answer about a dataset.
#[derive(Deserialize)]
struct DatasetInfo {
    #[serde(default)]
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Hub {
    /// The hub that the environment names.
    #[must_use]
    pub fn from_env() -> Self {
        let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let folder = |name: &str| set(name).map(PathBuf::from);
        let cache = folder("HF_HOME").map_or_else(
            || {
                let cache =
                    folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
                cache.unwrap_or_else(env::temp_dir).join("lc").join("hub")
            },
            |home| home.join("lc"),
        );
        let offline =
            set("HF_HUB_OFFLINE").is_some_and(|value| !matches!(value.as_str(), "0" | "false" | "no"));
        Self {
            endpoint: set("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into()),
            token: set("HF_TOKEN"),
            offline,
            cache,
        }
    }

    /// A folder with the files of a dataset's train and validation splits.
    ///
    /// # Errors
    /// When the hub does not have it, can't be reached, or must not be asked.
    pub fn dataset(&self, repository: &str, report: &Report) -> Result<PathBuf> {
        let named = format!("--dataset hf:{repository}");
        let folder = self.cache.join("datasets").join(checked(repository, &named)?);
        let complete = folder.join(COMPLETE);
        if complete.is_file() {
            return Ok(folder);
        }
        self.check_online(&named)?;
        let info: DatasetInfo = self
            .get(&format!("/api/datasets/{repository}"), &named)?
            .body_mut()
            .with_config()
            .limit(64 << 20)
            .read_json()
            .map_err(|error| self.failed(&named, &error))?;
        let all: Vec<String> = info.siblings.into_iter().map(|sibling| sibling.rfilename).collect();
        let needed = folder::needed(&all);
        if needed.is_empty() {
            return Err(Error::input(format!("{named}: the hub has no .parquet, .jsonl or .txt file in it")));
        }
        let _lock = lock(&folder, &named, report)?;
        // Another process may have downloaded it while this one waited.
        if complete.is_file() {
            return Ok(folder);
        }
        // What an interrupted download left is kept if it is of the same version.
        if fs::read_to_string(folder.join(REVISION)).is_ok_and(|revision| revision != info.sha) {
            fs::remove_dir_all(&folder).map_err(Error::io(&folder))?;
        }
        let revision = folder.join(REVISION);
        files::remove_leftovers(&revision)?;
        files::remove_leftovers(&complete)?;
        files::write_atomically(&revision, |out| out.write_all(info.sha.as_bytes()))?;
        let version = if info.sha.is_empty() { "main" } else { &info.sha };
        for (index, name) in needed.iter().enumerate() {
            let inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
            if !inside {
                return Err(Error::failed(format!(
                    "{named}: the hub lists a file outside of the dataset: {name:?}"
                )));
            }
            let file = folder.join(name);
            files::remove_leftovers(&file)?;
            if !file.is_file() {
                report.info(format!(
                    "downloading {name} of {repository} ({} of {})",
                    index + 1,
                    needed.len()
                ));
                self.download(
                    &format!("/datasets/{repository}/resolve/{}/{}", escaped(version), escaped(name)),
                    &file,
                    &named,
                    report,
                )?;
            }
        }
        files::write_json(&complete, &needed)?;
        Ok(folder)
    }

    /// The `tokenizer.json` of a model.
    ///
    /// # Errors
    /// When the hub does not have it, can't be reached, or must not be asked.
    pub fn tokenizer(&self, repository: &str, report: &Report) -> Result<PathBuf> {
        let named = format!("--tokenizer hf:{repository}");
        let folder = self.cache.join("tokenizers").join(checked(repository, &named)?);
        let file = folder.join("tokenizer.json");
        if file.is_file() {
            return Ok(file);
        }
        self.check_online(&named)?;
        let _lock = lock(&folder, &named, report)?;
        files::remove_leftovers(&file)?;
        if !file.is_file() {
            report.info(format!("downloading tokenizer.json of {repository}"));
            self.download(&format!("/{repository}/resolve/main/tokenizer.json"), &file, &named, report)?;
        }
        Ok(file)
    }

    fn download(&self, path: &str, file: &Path, named: &str, report: &Report) -> Result<()> {
        let response = self.get(path, named)?;
        let length = content_length(&response);
        let mut body = response.into_body().into_reader();
        // A failing connection and a failing disk are told apart, for the message.
        let mut broken = None;
        let written = files::write_atomically(file, |out| {
            let copied = copy(&mut body, out, report)?;
            match copied {
                Copied::Broken(error) => broken = Some(error.to_string()),
                Copied::Stopped => broken = Some(String::new()),
                Copied::All(bytes) if length.is_some_and(|length| length != bytes) => {
                    broken = Some(format!("{bytes} of {} bytes came", length.unwrap_or_default()));
                }
                Copied::All(_) => return Ok(()),
            }
            Err(io::Error::other("download broken off"))
        });
        match broken {
            None => written,
            Some(_) if report.stop_requested() => {
                Err(report.stopped(format!("{named}: stopped while downloading")))
            }
            Some(why) => Err(Error::failed(format!("{named}: {}{path}: {why}; run it again", self.endpoint))),
        }
    }

    fn check_online(&self, named: &str) -> Result<()> {
        if self.offline {
            return Err(Error::input(format!(
                "{named}: not downloaded yet, and HF_HUB_OFFLINE forbids to; unset it, or give a local path"
            )));
        }
        Ok(())
    }

    fn get(&self, path: &str, named: &str) -> Result<Response<Body>> {
        let agent: Agent = Agent::config_builder()
            .timeout_resolve(Some(Duration::from_secs(20)))
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .timeout_per_read(Some(Duration::from_secs(60)))
            // Lengths are checked, so nothing may be compressed on the way.
            .accept_encoding("identity")
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .http_status_as_error(false)
            .build()
            .into();
        let mut request = agent.get(format!("{}{path}", self.endpoint.trim_end_matches('/')));
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let response = request.call().map_err(|error| self.failed(named, &error))?;
        let at = format!("{}{path}", self.endpoint);
        match response.status().as_u16() {
            200 => Ok(response),
            // The hub says 401 for what does not exist as well.
            401 | 403 => Err(Error::input(format!(
                "{named}: {at} refuses access: no such repository, or it is private or gated; set HF_TOKEN to a token that may read it"
            ))),
            404 => Err(Error::input(format!(
                "{named}: {at} does not exist; accepted: hf:owner/name as on the hub"
            ))),
            status => Err(Error::failed(format!("{named}: {at} answered {status}; try again later"))),
        }
    }

    fn failed(&self, named: &str, error: &ureq::Error) -> Error {
        let error = error.to_string().replace('\n', " ");
        Error::failed(format!(
            "{named}: {} can't be reached: {error}; set HF_ENDPOINT to a mirror, or download it elsewhere and give a local path",
            self.endpoint
        ))
    }
}

/// The right to download a repository into `folder`, by a lock beside it: `.NAME.lock`.
fn lock(folder: &Path, named: &str, report: &Report) -> Result<Lock> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    Lock::take(&folder.with_file_name(format!(".{name}.lock")), named, "downloading", report)
}

enum Copied {
    All(u64),
    Broken(io::Error),
    Stopped,
}

/// Fails only when writing does.
fn copy(from: &mut impl Read, to: &mut impl io::Write, report: &Report) -> io::Result<Copied> {
    let mut buffer = vec![0; 1 << 18];
    let mut bytes = 0;
    loop {
        if report.stop_requested() {
            return Ok(Copied::Stopped);
        }
        match from.read(&mut buffer) {
            Ok(0) => return Ok(Copied::All(bytes)),
            Ok(read) => {
                to.write_all(&buffer[..read])?;
                bytes += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Ok(Copied::Broken(error)),
        }
    }
}

fn content_length(response: &Response<Body>) -> Option<u64> {
    response.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A repository's name, which is part of paths here and of addresses there.
fn checked<'a>(repository: &'a str, named: &str) -> Result<&'a str> {
    let word = |word: &str| {
        !word.is_empty()
            && !word.starts_with('.')
            && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    match repository.split_once('/') {
        Some((owner, name)) if word(owner) && word(name) => Ok(repository),
        _ => Err(Error::input(format!("{named}: accepted: hf:owner/name"))),
    }
}

/// A file's name as part of an address.
fn escaped(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    name.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests;
