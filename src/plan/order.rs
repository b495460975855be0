//! The start order, or the cycle that forbids one. Never recursive and never quadratic, however many units there are.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// `needs[n]` holds what unit `n` needs. Gives an order in which each comes after all that it needs, otherwise in the
/// order of the numbers; or cycles: in each, every unit needs the next and the last needs the first.
pub(super) fn order(needs: &[Vec<usize>]) -> Result<Vec<usize>, Vec<Vec<usize>>> {
    let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
    let mut open: Vec<usize> = needs.iter().map(Vec::len).collect();
    for (unit, needs) in needs.iter().enumerate() {
        for need in needs {
            needed_by[*need].push(unit);
        }
    }
    let free =
        |open: &[usize]| open.iter().enumerate().filter(|(_, n)| **n == 0).map(|(u, _)| Reverse(u)).collect();
    let mut ready: BinaryHeap<Reverse<usize>> = free(&open);
    let mut order = Vec::with_capacity(needs.len());
    while let Some(Reverse(unit)) = ready.pop() {
        order.push(unit);
        for user in &needed_by[unit] {
            open[*user] -= 1;
            if open[*user] == 0 {
                ready.push(Reverse(*user));
            }
        }
    }
    if order.len() == needs.len() { Ok(order) } else { Err(cycles(needs, &open)) }
}

/// Every unit that is still open needs another one that is: following one such need from each must run in circles.
fn cycles(needs: &[Vec<usize>], open: &[usize]) -> Vec<Vec<usize>> {
    let next = |unit: usize| needs[unit].iter().copied().find(|need| open[*need] > 0);
    let mut walk_of: Vec<usize> = vec![usize::MAX; needs.len()];
    let mut cycles = Vec::new();
    for start in (0..needs.len()).filter(|unit| open[*unit] > 0) {
        let mut path = Vec::new();
        let mut at = start;
        while walk_of[at] == usize::MAX {
            walk_of[at] = start;
            path.push(at);
            match next(at) {
                Some(need) => at = need,
                None => break,
            }
        }
        if walk_of[at] == start
            && let Some(begin) = path.iter().position(|unit| *unit == at)
            && next(at).is_some()
        {
            cycles.push(path.split_off(begin));
        }
    }
    cycles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_file_where_it_is_free() {
        assert_eq!(order(&[vec![2], vec![], vec![1]]), Ok(vec![1, 2, 0]));
        assert_eq!(order(&[vec![], vec![], vec![]]), Ok(vec![0, 1, 2]));
        assert_eq!(order(&[]), Ok(vec![]));
    }

    #[test]
    fn cycles_are_found_and_nothing_that_only_leads_to_one() {
        // 0 leads to the cycle 1 → 2 → 3 → 1; 4 needs itself; 5 is free.
        let needs = [vec![1], vec![2], vec![3], vec![5, 1], vec![4], vec![]];
        assert_eq!(order(&needs), Err(vec![vec![1, 2, 3], vec![4]]));
    }

    #[test]
    fn a_long_chain_and_a_long_cycle_need_no_stack() {
        let mut needs: Vec<Vec<usize>> = (0..200_000).map(|unit| vec![unit + 1]).collect();
        needs.push(vec![]);
        assert_eq!(order(&needs).map(|order| order[0]), Ok(200_000));
        needs[200_000] = vec![0];
        assert_eq!(order(&needs).map_err(|cycles| cycles[0].len()), Err(200_001));
    }

    proptest::proptest! {

        #![proptest_config(crate::chance::config())]

        #[test]
        fn an_order_holds_every_arrow_and_a_cycle_is_one(edges in proptest::collection::vec((0_usize..12, 0_usize..12), 0..24)) {
            let mut needs = vec![Vec::new(); 12];
            for (from, to) in edges {
                if !needs[from].contains(&to) {
                    needs[from].push(to);
                }
            }
            match order(&needs) {
                Ok(order) => {
                    let place = |unit: usize| order.iter().position(|o| *o == unit).expect("all are there");
                    for (unit, needs) in needs.iter().enumerate() {
                        proptest::prop_assert!(needs.iter().all(|need| place(*need) < place(unit)));
                    }
                }
                Err(cycles) => {
                    proptest::prop_assert!(!cycles.is_empty());
                    for cycle in cycles {
                        for (at, unit) in cycle.iter().enumerate() {
                            proptest::prop_assert!(needs[*unit].contains(&cycle[(at + 1) % cycle.len()]));
                        }
                    }
                }
            }
        }
    }
}
