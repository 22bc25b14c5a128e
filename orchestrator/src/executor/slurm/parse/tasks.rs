//! Lists of an array's tasks: `3`, `0-99%5`, `1,3-5`, `[0-8:2]`.

/// More tasks than this are not listed: no array of ours is as large.
const MOST: usize = 100_000;

/// The tasks of a list, at most 100,000; `None` when it is no list. Slurm cuts a long list and writes
/// `...` over its end, perhaps in the middle of a number: the item that is cut is left out.
pub(super) fn expand(list: &str) -> Option<Vec<u32>> {
    let list = list.trim();
    let list = list.strip_prefix('[').map_or(list, |inner| inner.strip_suffix(']').unwrap_or(inner));
    let (list, _at_once) = list.split_once('%').unwrap_or((list, ""));
    let mut tasks = Vec::new();
    for item in list.split(',') {
        if item.contains("...") {
            break;
        }
        let (range, step) = item.split_once(':').unwrap_or((item, "1"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (number(first)?, number(last)?);
        let step = usize::try_from(number(step)?).ok().filter(|&step| step > 0)?;
        if first > last {
            return None;
        }
        let room = MOST.saturating_sub(tasks.len());
        tasks.extend((first..=last).step_by(step).take(room));
    }
    (!tasks.is_empty()).then_some(tasks)
}

/// Whether a list lacks its end.
pub(super) fn is_cut(list: &str) -> bool {
    list.contains("...")
}

/// Digits and nothing else: `parse` alone would take a sign.
fn number(digits: &str) -> Option<u32> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_expanded() {
        for (list, tasks) in [
            ("7", vec![7]),
            ("0-3", vec![0, 1, 2, 3]),
            ("1,3-5", vec![1, 3, 4, 5]),
            ("0-2%5", vec![0, 1, 2]),
            ("[0-2%5]", vec![0, 1, 2]),
            ("0-8:4,11", vec![0, 4, 8, 11]),
        ] {
            assert_eq!(expand(list), Some(tasks), "{list}");
        }
    }

    #[test]
    fn what_is_cut_off_is_left_out() {
        assert_eq!(expand("1,3,..."), Some(vec![1, 3]));
        assert_eq!(expand("1,3,12..."), Some(vec![1, 3]));
        assert_eq!(expand("[1,3-1...%5]"), Some(vec![1]));
        assert_eq!(expand("..."), None);
    }

    #[test]
    fn what_is_no_list_is_nothing() {
        for list in ["", "N/A", "-3", "3-", "5-3", "+3", "1,,2", "0-8:0", "0-8:", "4294967296", "1 2", "a-b"]
        {
            assert_eq!(expand(list), None, "{list:?}");
        }
    }

    #[test]
    fn an_absurd_list_is_capped() {
        assert_eq!(expand("0-4294967295,0-4294967295").map(|tasks| tasks.len()), Some(MOST));
    }
}
