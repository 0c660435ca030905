//! HMAC with SHA-256 as it is written down (FIPS 180-4, RFC 2104), for comparison: slow, and nothing to keep a secret with.

use std::sync::LazyLock;

const BLOCK_BYTES: usize = 64;

/// Of the first 64 primes: what the cube roots have behind the point, and the first eight square roots.
static ROOTS: LazyLock<(Vec<u32>, [u32; 8])> = LazyLock::new(|| {
    let primes = primes();
    let cubes = primes.iter().map(|prime| root_fraction(*prime, 3)).collect();
    (cubes, std::array::from_fn(|at| root_fraction(primes[at], 2)))
});

/// The authentication code of a message.
pub(super) fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; BLOCK_BYTES];
    if key.len() > BLOCK_BYTES {
        block[..32].copy_from_slice(&sha256(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = sha256(&[&block.map(|byte| byte ^ 0x36)[..], message].concat());
    sha256(&[&block.map(|byte| byte ^ 0x5c)[..], &inner].concat())
}

fn sha256(message: &[u8]) -> [u8; 32] {
    let bits = u64::try_from(message.len()).expect("a length fits 64 bits") * 8;
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % BLOCK_BYTES != BLOCK_BYTES - 8 {
        padded.push(0);
    }
    padded.extend_from_slice(&bits.to_be_bytes());
    let (constants, mut state) = (&ROOTS.0, ROOTS.1);
    for block in padded.chunks_exact(BLOCK_BYTES) {
        compress(&mut state, block, constants);
    }
    let mut digest = [0; 32];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

fn compress(state: &mut [u32; 8], block: &[u8], constants: &[u32]) {
    let word = |bytes: &[u8]| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let mut words: Vec<u32> = block.chunks_exact(4).map(word).collect();
    for at in 16..64 {
        let (near, far) = (words[at - 2], words[at - 15]);
        let near = near.rotate_right(17) ^ near.rotate_right(19) ^ near >> 10;
        let far = far.rotate_right(7) ^ far.rotate_right(18) ^ far >> 3;
        words.push(near.wrapping_add(words[at - 7]).wrapping_add(far).wrapping_add(words[at - 16]));
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for (word, constant) in words.iter().zip(constants) {
        let choice = e & f ^ !e & g;
        let sum = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let one = [h, sum, choice, *constant, *word].into_iter().fold(0, u32::wrapping_add);
        let majority = a & b ^ a & c ^ b & c;
        let two = (a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22)).wrapping_add(majority);
        (h, g, f, e) = (g, f, e, d.wrapping_add(one));
        (d, c, b, a) = (c, b, a, one.wrapping_add(two));
    }
    for (word, more) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word = word.wrapping_add(more);
    }
}

/// The first 64 primes.
fn primes() -> Vec<u64> {
    (2..312).filter(|number| (2..*number).all(|divisor| number % divisor != 0)).collect()
}

/// The first 32 bits of the fraction of a number's square root or cube root.
fn root_fraction(number: u64, degree: u32) -> u32 {
    let target = u128::from(number) << (32 * degree);
    // The root has fewer than five bits before the point.
    let mut root = 0_u128;
    for bit in (0..37).rev() {
        let larger = root | 1 << bit;
        if larger.pow(degree) <= target {
            root = larger;
        }
    }
    u32::try_from(root & 0xffff_ffff).expect("32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_digests_of_the_standard_come_out() {
        let cases = [
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
        ];
        for (message, digest) in cases {
            assert_eq!(hex(&sha256(message.as_bytes())), digest);
        }
    }

    #[test]
    fn the_codes_of_rfc_4231_come_out() {
        let long = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(
            hex(&hmac_sha256(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(&hmac_sha256(&[0xaa; 131], long)),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }
}
