//! Arguments by place and by name.

use super::refused;
use minijinja::{
    Error, Value,
    value::{Kwargs, from_args},
};

/// The arguments of a call for parameters of these names, each by its place or its name.
///
/// # Errors
/// There are more, one has another name, or one is given twice.
pub(super) fn bind<const N: usize>(arguments: &[Value], names: [&str; N]) -> Result<[Option<Value>; N], Error> {
    let (places, named): (&[Value], Kwargs) = from_args(arguments)?;
    if places.len() > N {
        return Err(refused(format!("takes at most {N} arguments, got {}", places.len())));
    }
    let mut bound = [const { None }; N];
    for (index, name) in names.into_iter().enumerate() {
        bound[index] = places.get(index).cloned();
        if named.has(name) {
            if bound[index].is_some() {
                return Err(refused(format!("got two values for the argument `{name}`")));
            }
            bound[index] = Some(named.get(name)?);
        }
    }
    named.assert_all_used()?;
    Ok(bound)
}
