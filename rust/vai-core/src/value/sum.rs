//! Exact sums of numbers, quantities and integers.

use bigdecimal::BigDecimal;

use super::{Decimal, Value};

/// An exact sum. It stays in 128 bits while that is enough.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    mantissa: i128,
    exponent: i64,
    /// What no longer fits.
    big: Option<BigDecimal>,
}

impl Sum {
    /// Adds a value; `false` for one that can't be added (text, a moment, an address).
    pub fn add(&mut self, value: &Value) -> bool {
        match value {
            Value::Int(number) | Value::Duration(number) => self.add_small((*number).into(), 0),
            Value::Decimal(number) => match number.small() {
                Some((mantissa, exponent)) => self.add_small(mantissa, exponent),
                None => self.add_big(&number.to_bigdecimal()),
            },
            Value::Text(_) | Value::Time(_) | Value::Ip(_) | Value::Bool(_) => return false,
        }
        true
    }

    fn add_small(&mut self, mantissa: i128, exponent: i64) {
        if mantissa == 0 {
            return;
        }
        if self.mantissa == 0 {
            (self.mantissa, self.exponent) = (mantissa, exponent);
            return;
        }
        let common = exponent.min(self.exponent);
        let aligned = |mantissa: i128, exponent: i64| {
            let shift = u32::try_from(exponent - common).ok()?;
            mantissa.checked_mul(10_i128.checked_pow(shift)?)
        };
        let sum = aligned(self.mantissa, self.exponent)
            .zip(aligned(mantissa, exponent))
            .and_then(|(a, b)| a.checked_add(b));
        match sum {
            Some(sum) => (self.mantissa, self.exponent) = (sum, common),
            None => self.add_big(&BigDecimal::new(mantissa.into(), -exponent)),
        }
    }

    fn add_big(&mut self, number: &BigDecimal) {
        let big = self.big.take().unwrap_or_default();
        self.big = Some(big + number);
    }

    /// The sum; `None` where it has more than 1,024 significant digits.
    #[must_use]
    pub fn total(&self) -> Option<Decimal> {
        match &self.big {
            None => Decimal::new(self.mantissa < 0, self.mantissa.unsigned_abs(), self.exponent),
            Some(big) => {
                let small = BigDecimal::new(self.mantissa.into(), -self.exponent);
                Decimal::from_bigdecimal(&(big + small))
            }
        }
    }
}
