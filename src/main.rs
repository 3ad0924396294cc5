fn main(){ let o=tripline::cli::x(); std::io::Write::write_all(&mut std::io::stdout(), o.as_bytes()).ok(); }
